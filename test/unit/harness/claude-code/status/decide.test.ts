import { expect, test } from 'vitest'
import {
  decideStatus,
  isInterrupted,
  promptedTurn,
  registeredTurn,
  type StatusEvidence,
} from '../../../../../src/harness/claude-code/status/decide.ts'

const NOW = 1_000_000
const decide = (evidence: Partial<StatusEvidence>) =>
  decideStatus({ now: NOW, registry: null, turn: null, paused: false, attended: true, ...evidence })
const registry = (status: string, ago: number) => ({ status, at: NOW - ago })
const running = (ago: number) => ({ running: true, at: NOW - ago })
const stopped = (ago: number, background = false) => ({ running: false, at: NOW - ago, background })

test.each<[string, Partial<StatusEvidence>, string, number | null]>([
  ['nothing known', {}, 'starting', null],
  ['the registry says idle', { registry: registry('idle', 0) }, 'idle', null],
  ['the registry says busy', { registry: registry('busy', 9000) }, 'busy', null],
  ['the registry says waiting', { registry: registry('waiting', 0) }, 'waiting', null],
  ['a shell of an earlier turn runs in the background', { registry: registry('shell', 0) }, 'idle', null],
  ['-p, a shell in the background', { registry: registry('shell', 10), attended: false }, 'starting', 240],
  ['a word of a newer client, a turn runs', { registry: registry('dreaming', 0), turn: running(50) }, 'busy', null],
  ['a word of a newer client, turn over', { registry: registry('dreaming', 9000), turn: stopped(300) }, 'idle', null],
  ['a new word after the turn', { registry: registry('dreaming', 50), turn: stopped(9000) }, 'busy', 200],
  ['a new word, no turn seen yet', { registry: registry('dreaming', 100) }, 'starting', 9900],
  ['a new word, no turn seen for long', { registry: registry('dreaming', 11_000) }, 'idle', null],
  [
    'a new word, a prompt is queued',
    { registry: registry('dreaming', 900), turn: { ...stopped(500), queued: true } },
    'busy',
    9500,
  ],
  ['stopped by a signal', { registry: registry('idle', 0), paused: true }, 'paused', null],
  ['a prompt just submitted', { registry: registry('idle', 500), turn: running(20) }, 'busy', 980],
  ['a prompt that a hook refused', { registry: registry('idle', 5000), turn: running(2000) }, 'idle', null],
  ['an interrupt, for which no hook fires', { registry: registry('idle', 10), turn: running(5000) }, 'idle', null],
  ['the end of a turn, registry not yet there', { registry: registry('busy', 900), turn: stopped(20) }, 'busy', null],
  ['subagents go on alone', { registry: registry('busy', 9000), turn: stopped(900, true) }, 'idle', null],
  ['subagents, turn just over', { registry: registry('busy', 9000), turn: stopped(50, true) }, 'busy', 200],
  ['subagents reported, next turn', { registry: registry('busy', 100), turn: stopped(900, true) }, 'busy', null],
  ['-p before its first turn', { registry: registry('idle', 6), attended: false }, 'starting', 244],
  ['-p between last turn and end', { registry: registry('idle', 10), turn: stopped(40), attended: false }, 'busy', 240],
  ['stream-json after a turn', { registry: registry('idle', 300), turn: stopped(340), attended: false }, 'idle', null],
  ['no registry, a turn runs', { turn: running(9000) }, 'busy', null],
  ['no registry, a turn ended', { turn: stopped(300) }, 'idle', null],
  ['no registry, a turn just ended', { turn: stopped(100) }, 'busy', 150],
])('status - %s', (_, evidence, status, againMs) => {
  expect(decide(evidence)).toEqual({ status, againMs })
})

test.each<[string, Partial<StatusEvidence>, boolean]>([
  ['idle in the middle of a turn', { registry: registry('idle', 10), turn: running(5000) }, true],
  [
    'at its prompt in the middle of a turn, a shell runs',
    { registry: registry('shell', 9), turn: running(5000) },
    true,
  ],
  ['idle with the end of the turn told', { registry: registry('idle', 10), turn: stopped(20) }, false],
  ['the turn goes on', { registry: registry('busy', 10), turn: running(5000) }, false],
  ['a prompt just submitted', { registry: registry('idle', 500), turn: running(20) }, false],
  ['a prompt that never made the client busy', { registry: registry('idle', 5000), turn: running(2000) }, true],
  ['no turn yet', { registry: registry('idle', 10) }, false],
  ['nobody sits there', { registry: registry('idle', 1000), turn: running(5000), attended: false }, false],
  ['without a registry, nothing told', { turn: running(5000) }, false],
  ['without a registry, told by the transcript', { turn: { ...stopped(300), interrupted: true } }, true],
])('interrupted - %s', (_, evidence, is) => {
  const all = { registry: null, turn: null, paused: false, attended: true, ...evidence }
  expect(isInterrupted(all, decide(evidence).status)).toBe(is)
})

test('turn - a prompt that was queued runs when the client is busy again after the end of the turn before', () => {
  const first = promptedTurn(null, NOW - 900)
  expect(first).toMatchObject({ running: true, queued: false })
  const queued = promptedTurn(first, NOW - 500)
  const ended = { ...stopped(300), queued: queued.queued! }
  expect(registeredTurn({ turn: ended, registry: registry('busy', 900) })).toBe(ended)
  expect(registeredTurn({ turn: ended, registry: registry('idle', 100) })).toBe(ended)
  expect(registeredTurn({ turn: ended, registry: registry('busy', 100) })).toEqual({ running: true, at: NOW - 100 })
  // What makes a client busy otherwise (a compaction) is no turn.
  expect(registeredTurn({ turn: stopped(300), registry: registry('busy', 100) })).toEqual(stopped(300))
})
