import { expect, test } from 'vitest'
import { ForTerminal } from '../../../../src/cli/show/terminal.ts'

function shown(text: string, cut: number): string {
  const bytes = Buffer.from(text)
  const forTerminal = new ForTerminal()
  return forTerminal.next(bytes.subarray(0, cut)) + forTerminal.next(bytes.subarray(cut)) + forTerminal.end()
}

test.each([
  ['\x1b[1;31mred\x1b[0m and plain\n', '\x1b[1;31mred\x1b[0m and plain\n'],
  ['ä 😀\tx\r\ny\n', 'ä 😀\tx\ny\n'],
  ['10 %\r20 %\n', '10 %\n20 %\n'],
  ['\x1b]0;title\x07', '\\x1b]0;title\\x07'],
  ['\x1b[2J\x1b[H\x1b[6n', '\\x1b[2J\\x1b[H\\x1b[6n'],
  ['\x9b31m \u202e', '\\x9b31m \\u{202e}'],
  ['cut \x1b[3', 'cut \\x1b[3'],
])('on a terminal output has its colours and nothing else, wherever it is cut: %j', (text, told) => {
  for (let cut = 0; cut <= Buffer.byteLength(text); cut++) expect(shown(text, cut)).toBe(`${told}\x1b[0m`)
})
