/**
 * Finds a final message that only announces work instead of reporting what came of it. Pure. It has to be sure: reports
 * end in colons, name next steps, offer more, and speak of what the reader may do.
 */

const QUOTE_CHARS = 80
/** Longest announcement: a report of the work needs more. */
const ANNOUNCEMENT_CHARS = 500
/** Lists, headings, tables and code are what reports are made of. */
const REPORT_PARTS = /^\s*(?:[-*•]\s|\d+[.)]\s|#{1,6}\s|\|.*\||```|~~~|>)/m

/** Verbs for work with tools; none for work with words, as explain, summarise, know, note, stress. */
const DEEDS = [
  'add|analy[sz]e|apply|build|change|check|clean|clone|commit|compare|compile|compute|confirm|continue|convert|copy|count',
  'create|debug|delete|deploy|dig|do|double-check|download|edit|examine|execute|explore|extract|fetch|find|fix|format',
  'generate|get|go|grep|implement|inspect|install|investigate|kill|launch|list|load|locate|look|make|measure|merge|migrate',
  'modify|move|open|patch|proceed|profile|pull|push|query|re-?check|re-?run|re-?start|re-?try|read|rebuild|refactor|remove',
  'rename|replace|reproduce|restore|revert|review|rewrite|run|save|scan|search|see|set up|spawn|start|stop|take a look|test',
  'trace|try|update|use|validate|verify|view|write',
].join('|')
const DOING =
  'adding|applying|building|changing|checking|creating|editing|exploring|fixing|implementing|inspecting|installing|' +
  'investigating|loading|locking|looking|moving|proceeding|reading|re-?running|refactoring|removing|renaming|running|' +
  'searching|starting|testing|updating|verifying|writing'
const OPENER =
  '(?:(?:ok(?:ay)?|alright|all right|good|great|nice|perfect|excellent|right|hmm|wait|and|so|but|then|now|next|first|finally|' +
  'from here)[,.!:—–-]*\\s+)*'
const HURRY = '(?:(?:now|then|first|also|just|quickly|next|go ahead and|start by|begin by)\\s+)*'

/** Begins a sentence of an agent that is about to act: `let me run …`, `now I'll …`, `I'm now running …`. */
const AT_ONCE = [
  new RegExp(`^${OPENER}(?:let me|let's|let us)\\s+${HURRY}(?:${DEEDS})\\b`, 'i'),
  new RegExp(
    `^${OPENER}(?:now|next|first)[, ]\\s*(?:i'll|i will|i'm going to|i am going to|i need to)\\s+${HURRY}(?:${DEEDS})\\b`,
    'i',
  ),
  new RegExp(
    `^${OPENER}(?:i'll|i will|i'm going to|i am going to)\\s+(?:now|start by|begin by)\\s+(?:${DEEDS}|${DOING})\\b`,
    'i',
  ),
  new RegExp(`^${OPENER}i(?:'m| am) now (?:${DOING})\\b`, 'i'),
]
/** May be a plan as well: only when the sentence itself is left open. */
const LEFT_OPEN = [
  new RegExp(
    `^${OPENER}(?:i'll|i will|i'm going to|i am going to|i need to|i'm|i am)\\s+${HURRY}(?:${DEEDS}|${DOING})\\b`,
    'i',
  ),
  new RegExp(`^${OPENER}(?:${DOING})\\b`, 'i'),
  /^(?:lass(?:t|en sie)? (?:mich|uns)|(?:jetzt|nun|als nächstes)\s+(?:werde|führe|prüfe|teste|starte|lese|schaue|lasse|schreibe|erstelle) ich|ich werde (?:jetzt|nun|als nächstes))(?:\s|$)/iu,
  /^(?:maintenant,?\s+)?(?:je vais|laissez-moi|laisse-moi|permettez-moi)(?:\s|$)/iu,
  /^(?:ahora,?\s+)?(?:voy a|déjame|vamos a)(?:\s|$)/iu,
  /^(?:现在|接下来|下面|好的，?)*(?:让我|我来|我将|我要)/u,
]
const OPEN_END = /(?:[:：…]|\.\.\.)$/u
/** Addressed to the reader, or bound to a condition: an offer, not an announcement. */
const OFFER = /\b(?:you|your|if|unless|whenever|once|later|separately|follow-?up|on request)\b/i

/** The announcement, shortened, if the text ends in one; null for any text that may be a report. */
export function announcement(text: string): string | null {
  const words = text.trim().replaceAll('’', "'")
  if (words.length > ANNOUNCEMENT_CHARS || REPORT_PARTS.test(words)) return null
  const last = lastSentence(words)
  const isOpen = OPEN_END.test(last)
  if (/[?？]$/u.test(last) || OFFER.test(last)) return null
  // What stands behind a colon has been said.
  if (/[:：]\s*\S/u.test(last)) return null
  const isOne = AT_ONCE.some((said) => said.test(last)) || (isOpen && LEFT_OPEN.some((said) => said.test(last)))
  return isOne ? `"${last.slice(0, QUOTE_CHARS).toWellFormed()}"` : null
}

/** Without emphasis, and without what opens a sentence. */
function lastSentence(words: string): string {
  const sentences = words.split(/(?<=[.!?…])\s+|(?<=[。！？])|\n+/u).filter((part) => part.trim() !== '')
  return (sentences.at(-1) ?? '').replace(/^[\s*_"'“(]+|[\s*_"'”)]+$/gu, '')
}
