/**
 * Finds what in a foreign text could pass for mesh's own words: a line that begins as one of those that `render.ts` makes,
 * and a tag that could open or close an element of mesh's or of a client's. Reads the text as an eye does: look-alike
 * letters and brackets, what nobody sees, and every kind of line break. Pure.
 */

/** Elements that clients of agents put around texts of their own: no peer may end one, or begin another. */
const CLIENT_TAGS = [
  'system-reminder',
  'cross-session-message',
  'task-notification',
  'teammate-message',
  'agent-message',
  'user-prompt-submit-hook',
  'command-(?:name|message|args|contents)',
  'local-command-',
  'bash-(?:input|std)',
  'antml:',
].join('|')

/** Where the beginning alone tells. An id in brackets begins a header wherever it stands. */
const OWN = new RegExp(
  [
    `<\\s*/?\\s*(?:mesh-|${CLIENT_TAGS})`,
    '\\[ *[mrt]_[0-9a-f]{2}',
    "(?<=^|\\n) *(?:\\[ *(?:[mrt]_|run\\b|mesh\\b|(?:\\.\\.\\.)? *\\d+ +more\\b|\\d+ of [^\\n]{1,400} held after)|peers' words, not|" +
      'news of your runs|news from mesh|from mesh, not|from people at shells)',
  ].join('|'),
  'g',
)
/** News of a file begins with a path, which may be anything. */
const FILE_NEWS = /: (?:you edited it, but|\S{1,64} (?:edits it too|edited it))/g
const ADVICE = /\bmesh (?:send|ask) /

const LINE_BREAK = /[\n\v\f\r\x85\u2028\u2029]/
const UNSEEN = /[\p{Cf}\p{Cs}\p{Mn}\p{Me}\p{Cc}\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufffd]/u
const ANGLES = '‹«〈⟨❬❮❰⟪《˂ᐸ≺﹤＜⧼⦑'
const SOLIDI = '⁄∕⧸／╱'
const DASHES = /[\p{Pd}\u2212\u02d7]/u
const APOSTROPHES = '’‘ʼ′ʹ＇`´'
const COLONS = '：꞉∶ː﹕︓'
const BRACKETS = '⎡⎢⎣⌈⌊｢'
/** Letters that look like another, each before that. Compatibility forms need no entry. */
const LETTERS = new Map(
  (
    'аa ԁd еe һh іi јj ӏl оo рp сc ѕs уy хx гr кk мm тt нh вb пn иu ѡw ѵv ԛq αa οo ρp υu νv ιi κk τt εe ηn σo χx ωw γy μm ' +
    'ոn սu օo հh ցg յj ıi ɑa ɡg ᴀa ᴄc ᴅd ᴇe ꜰf ʜh ɪi ʟl ᴍm ɴn ᴏo ᴘp ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ɾr ᴎn ʙb ᴊj ᴋk ɢg ſs'
  )
    .split(' ')
    .map((pair) => [pair[0]!, pair[1]!]),
)

/**
 * Returns the positions in `text` of the characters that begin something of mesh's own. `isNews`: it is a line of news of a
 * file itself.
 */
export function ownLines(text: string, isNews = false): Set<number> {
  const { plain, at } = readAsEye(text)
  const found = new Set<number>()
  const mark = (from: number) => {
    let index = from
    while (plain[index] === ' ') index++
    found.add(at[index]!)
  }
  for (const { index } of plain.matchAll(OWN)) mark(index)
  for (const { index } of isNews ? [] : plain.matchAll(FILE_NEWS)) {
    const end = plain.indexOf('\n', index)
    const start = plain.lastIndexOf('\n', index) + 1
    if (ADVICE.test(plain.slice(index, end < 0 ? undefined : end))) mark(start)
  }
  return found
}

/** The text as plain lower-case characters, each with its position in `text`. */
function readAsEye(text: string): { plain: string; at: number[] } {
  let plain = ''
  const at: number[] = []
  let index = 0
  for (const char of text) {
    const seen = char < '\x7f' && char >= ' ' ? char.toLowerCase() : seenAs(char)
    plain += seen
    for (let i = 0; i < seen.length; i++) at.push(index)
    index += char.length
  }
  return { plain, at }
}

function seenAs(char: string): string {
  if (LINE_BREAK.test(char)) return '\n'
  if (/\s/u.test(char)) return ' '
  if (UNSEEN.test(char)) return ''
  return [...char.normalize('NFKD').toLowerCase()].map(letterAs).join('')
}

function letterAs(char: string): string {
  if (char < '\x7f') return char
  if (ANGLES.includes(char)) return '<'
  if (SOLIDI.includes(char)) return '/'
  if (APOSTROPHES.includes(char)) return "'"
  if (COLONS.includes(char)) return ':'
  if (BRACKETS.includes(char) || /[\p{Ps}]/u.test(char)) return '['
  if (DASHES.test(char)) return '-'
  if (/\p{Nd}/u.test(char)) return '0'
  if (/\p{Mn}|\p{Me}/u.test(char)) return ''
  return LETTERS.get(char) ?? char
}
