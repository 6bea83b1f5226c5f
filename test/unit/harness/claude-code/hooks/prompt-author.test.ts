import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isPersons } from '../../../../../src/harness/claude-code/hooks/prompt-author.ts'

const fixtures = new URL('../../../../fixtures/claude-code/hooks/', import.meta.url)
const recorded = readdirSync(fixtures).filter((name) => name.startsWith('UserPromptSubmit.'))

test.each(recorded)('prompt author - %s', (name) => {
  const { prompt } = JSON.parse(readFileSync(new URL(name, fixtures), 'utf8')) as { prompt: string }
  // What another program posts to the inbox socket cannot be told from a person's words.
  const typed = ['UserPromptSubmit.json', 'UserPromptSubmit.inbox-socket.json']
  expect(isPersons(prompt)).toBe(typed.includes(name))
})

test("prompt author - a hand-over of mesh's and an empty prompt are no person's", () => {
  expect(isPersons('<mesh-0123abcd>\nx\n</mesh-0123abcd>')).toBe(false)
  expect(isPersons(' \n')).toBe(false)
})

test("prompt author - words about such things are a person's", () => {
  expect(isPersons('what is a <task-notification>?')).toBe(true)
  expect(isPersons('<mesh-notes.md> is a file')).toBe(true)
})
