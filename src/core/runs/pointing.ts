/**
 * Finds a final message that carries no result of its own: it points to earlier words, which its reader does not have, or
 * says that there is nothing to say. Pure. It has to be sure: reports name files, lines and sections, also their own.
 */

const QUOTE_CHARS = 80
/** Longest message that does nothing but point: a report of the work needs more. */
const POINTING_CHARS = 300
/** Lists, headings, tables and code are what reports are made of. */
const REPORT_PARTS = /^\s*(?:[-*•]\s|\d+[.)]\s|#{1,6}\s|\|.*\||```|~~~|>)/m
/** Names a place that the reader can look into: a file, a path, an address, a line, a message of mesh's, code. */
const PLACE =
  /[`]|\b[\w-]+\.[a-z]{1,5}\b(?!\.?$)|\b[\w-]+\.(?:md|txt|json|log|html|csv|ya?ml)\b|\/\w|https?:|\bm_[0-9a-f]{6}|\b[tr]_[0-9a-f]{6}/i

const REPORT =
  '(?:(?:full|final|complete|detailed|whole|entire|requested|above|actual)\\s+)*(?:report|reports|findings|results?|answers?|' +
  'summary|analysis|review|details|output|response|list|write-?up|conclusions?|recommendations?|information|investigation|plan)'
const WHERE_ABOVE =
  '(?:above|(?:in|with|as|per|from)?\\s*(?:my|the|our)\\s+(?:previous|earlier|prior|last|preceding|first)\\s+(?:message|messages|response|reply|turn|answer|output|report|text)s?|' +
  'earlier(?: in (?:this|the|our) (?:conversation|thread|session|chat))?|previously|already)'
const GIVEN =
  '(?:given|provided|delivered|presented|reported|shared|written|posted|included|described|listed|stated|shown|sent|submitted|outlined|detailed|summari[sz]ed|noted)'

/** Whole sentences: what else a message says makes it a report. */
const POINTS: readonly RegExp[] = [
  // The full report is above. My findings are as delivered in my previous message.
  new RegExp(
    `^(?:(?:the|my|your|all|all of the|this)\\s+)*${REPORT}(?:\\s+(?:of|for|on|from)\\s+(?:the|this|my)\\s+[\\w -]{1,40})?\\s+` +
      `(?:is|are|was|were|(?:has|have) (?:already )?been|can be found|stands?|remains?)\\s+(?:(?:all|already|complete|as|fully|found|still|unchanged)[,]?\\s+)*` +
      `(?:${GIVEN}\\s+)?(?:in full\\s+)?(?:as\\s+)?${WHERE_ABOVE}$`,
    'i',
  ),
  // I have provided the full report above. As I reported earlier.
  new RegExp(
    `^(?:as\\s+)?(?:i|i've|i have|we|we've|we have)\\s+(?:have\\s+)?(?:already\\s+)?${GIVEN}(?:\\s+(?:you|it|this|that|them|everything|all of (?:it|this))|\\s+(?:(?:the|my|your|all|all of the|a)\\s+)*${REPORT})?\\s*` +
      `(?:to you\\s+)?(?:in full\\s+)?${WHERE_ABOVE}$`,
    'i',
  ),
  // I have already delivered my report.
  new RegExp(
    `^(?:i|i've|i have|we've|we have)\\s+(?:have\\s+)?already\\s+${GIVEN}\\s+(?:(?:the|my|your|all|a)\\s+)*${REPORT}$`,
    'i',
  ),
  // See above. Please refer to my previous message for the findings. See the report above.
  new RegExp(
    `^(?:please\\s+)?(?:see|refer to|read|check|consult|look at|scroll up(?: to| for)?)\\s+(?:back\\s+)?(?:to\\s+)?(?:(?:the|my|all)\\s+)*(?:${REPORT}\\s+(?:in\\s+)?)?${WHERE_ABOVE}` +
      `(?:\\s+(?:for|with|containing|which has)\\s+(?:(?:the|my|all|more)\\s+)*${REPORT})?$`,
    'i',
  ),
  /^(?:the\s+)?(?:same\s+)?as (?:above|before|in my (?:previous|last|earlier) (?:message|reply|response))$/i,
  new RegExp(`^(?:(?:the|my|full)\\s+)*${REPORT}\\s+(?:${GIVEN}\\s+)?above$`, 'i'),
  // Other languages.
  /^(?:siehe|s\.)\s+(?:(?:meine|die)\s+(?:vorherige|vorige|letzte|obige)\w*\s+(?:nachricht|antwort)|oben)$/i,
  /^(?:der|die|das|mein|meine)\s+(?:(?:vollständige|ganze|ausführliche)\w*\s+)?(?:bericht|ergebnisse?|antwort|zusammenfassung|befunde)\s+(?:steht|stehen|findet sich|finden sich|ist|sind)\s+(?:(?:bereits|schon|weiter)\s+)*(?:oben|in meiner (?:vorherigen|vorigen|letzten) nachricht)$/i,
  /^(?:voir|cf\.?)\s+(?:ci-dessus|plus haut|mon (?:message|rapport) précédent)$/i,
  /^(?:le|mon)\s+(?:rapport|résumé|résultat)s?\s+(?:complet\s+)?(?:est|se trouve|figure)\s+(?:ci-dessus|plus haut|dans mon message précédent)$/i,
  /^(?:ver|véase|vea|consulte)\s+(?:arriba|más arriba|mi mensaje anterior)$/i,
  /^(?:el|mi)\s+(?:informe|resumen|resultado)\s+(?:completo\s+)?(?:está|se encuentra)\s+(?:arriba|más arriba|en mi mensaje anterior)$/i,
  /^(?:veja|ver)\s+(?:acima|minha mensagem anterior)$|^o relatório (?:completo )?está (?:acima|na minha mensagem anterior)$/i,
  /^(?:vedi sopra|il rapporto (?:completo )?è (?:sopra|nel mio messaggio precedente))$/i,
  /^(?:zie (?:hierboven|mijn vorige bericht)|het (?:volledige )?rapport staat hierboven)$/i,
  /^(?:см\.?|смотри(?:те)?)\s+(?:выше|моё предыдущее сообщение|мое предыдущее сообщение)$|^(?:полный\s+)?отч[её]т\s+(?:(?:находится|приведён|приведен|дан)\s+)?выше$/iu,
  /^(?:完整的?)?(?:报告|结果|答案|总结)(?:已)?(?:在|见|如)?(?:上面|上文|上方|以上|前一条消息|上一条消息)(?:中)?$|^(?:请)?(?:参见|见|请看|参考)(?:上文|上面|以上|(?:我的)?(?:上一条|前一条)消息)$/u,
  /^(?:(?:完全な)?(?:報告|レポート|結果)は)?(?:上記|前のメッセージ|先ほどのメッセージ)(?:の通り|をご覧ください|を参照してください|にあります)(?:です)?$/u,
  /^(?:(?:전체\s*)?(?:보고서|결과)는\s*)?(?:위|이전 메시지)(?:를 참조하세요|에 있습니다|를 보세요)$/u,
]

/** A placeholder where a result should be. `None` and the like may be the result. */
const NOTHING =
  /^(?:no (?:(?:further|additional|more|other) )?(?:output|response|text|message|reply|content)(?: (?:is |was )?(?:needed|required|necessary|requested|provided))?|nothing (?:further|more|else) to (?:add|say)|keine (?:weitere )?(?:ausgabe|antwort)|end of (?:report|message|response|output)|\.{1,3}|…|-+)$/i

/** The words that point, shortened, if the text has no others; null for any text that may be a report. */
export function pointing(text: string): string | null {
  const words = text.trim().replaceAll('’', "'")
  if (words === '' || words.length > POINTING_CHARS || REPORT_PARTS.test(words)) return null
  const sentences = words.split(/(?<=[.!?…])\s+|(?<=[。！？])|\n+|;\s+|\s+[—–]\s+/u).map(bare)
  const said = sentences.filter((sentence) => sentence !== '' && !isFiller(sentence))
  const isEmpty = sentences.length > 0 && said.length === 0 && NOTHING.test(sentences.join(' ').trim())
  const points = said.length > 0 && said.every((sentence) => NOTHING.test(sentence) || isPointer(sentence))
  return points || isEmpty ? `"${words.replaceAll('\n', ' ').slice(0, QUOTE_CHARS).toWellFormed()}"` : null
}

function isPointer(sentence: string): boolean {
  return !PLACE.test(sentence) && POINTS.some((points) => points.test(sentence))
}

/** Says nothing beside a sentence that points. */
function isFiller(sentence: string): boolean {
  return /^(?:done|ok(?:ay)?|all done|finished|complete[d]?|(?:the )?(?:task|work|research|analysis|investigation|review) is (?:done|complete|finished|over)|thanks|thank you|fertig|terminé|listo)$/i.test(
    sentence,
  )
}

/** Without emphasis, brackets and the mark at the end. */
function bare(sentence: string): string {
  return sentence.replace(/^[\s*_"'“([]+|[\s*_"'”)\].!。！:]+$/gu, '')
}
