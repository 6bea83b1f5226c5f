/** Finds a final message that only announces work instead of telling what came of it. Pure. */

const QUOTE_CHARS = 80
/** Whoever has a report to give needs more than this. */
const ANNOUNCEMENT_CHARS = 300

const INTENT =
  /^(?:(?:ok(?:ay)?|alright|all right|good|great|perfect|excellent|right|now|next|first|so|then|hmm|wait)[,.!:—–-]*\s+)*(?:now\s+|next,?\s+|first,?\s+)?(?:let me|let's|let us|i'll|i will|i'm going to|i am going to|i need to)\s+(?:now |then |first |also |just |quickly )*(?:run|check|look|read|fix|write|create|implement|start|update|add|verify|test|examine|search|build|try|explore|investigate|open|edit|apply|review|find|see|inspect|generate|compute|re-?run|install|make|continue|proceed|do|get|view|grep|list|remove|rename|refactor|move)\b/i

/** The announcement, shortened, if the text is nothing else; null for any text that may be a report. */
export function announcement(text: string): string | null {
  const words = text.trim()
  if (words === '' || words.length > ANNOUNCEMENT_CHARS) return null
  const sentences = words.split(/(?<=[.!?:…])\s+|\n+/).filter((part) => part.trim() !== '')
  const last = sentences.at(-1)!.trim()
  if (sentences.length > 2 || !INTENT.test(last) || last.endsWith('?')) return null
  return `"${last.slice(0, QUOTE_CHARS)}"`
}
