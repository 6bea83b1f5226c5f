/** Plays each row of the table in docs/internals/names.md: the outcome is the one that stands there. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Claim, decideClaim } from '../../../../src/core/names/names.ts'
import { identity, nameRecord } from '../../../support/samples.ts'
import { claimant, ended, never, no, yes } from './claimant.ts'

const page = readFileSync(new URL('../../../../docs/internals/names.md', import.meta.url), 'utf8')
const rows = [...page.matchAll(/^\| (.+?) \| .+? \| `(\w+)` \|/gm)].map(
  ([, what, outcome]) => [what!, outcome!] as const,
)

const own = nameRecord({ session: 'talk' })
const here = nameRecord({ session: 'here', process: identity(2) })
const other = nameRecord({ name: 'web', session: 'talk', process: identity(3) })
const taken = nameRecord({ session: 'next', earlier: ['talk'] })
const talk = claimant({ session: 'talk' })
const fork = claimant({ session: 'copy', fork: true })
const moved = { ...fork, movedAt: '2026-11-20T11:59:58.000Z' }
const left = nameRecord({ ...ended, name: 'web', endedAt: '2026-11-20T11:59:58.120Z' })

/** By the first cell of a row: what is claimed, and the name that comes of it. */
const scenarios: Record<string, [name: string, () => Claim]> = {
  '`/clear`, `/compact`, automatic compaction, `/branch`': [
    'api',
    () => decideClaim(claimant({ session: 'cleared' }), [here], yes),
  ],
  '`--resume`, `-c`': ['api', () => decideClaim(talk, [{ ...own, ...ended }], never)],
  '`--resume` while another process speaks for the conversation': ['api-2', () => decideClaim(talk, [own], yes)],
  '`--resume` after another session took the name over': ['api-2', () => decideClaim(talk, [taken], yes)],
  '`--resume` after that session has ended too': ['api', () => decideClaim(talk, [{ ...taken, ...ended }], never)],
  '`/resume ID` of a conversation with a name': ['web', () => decideClaim(talk, [here, { ...other, ...ended }], yes)],
  '`/resume ID` of the conversation before `/clear`, which was open elsewhere meanwhile': [
    'api',
    () =>
      decideClaim(
        talk,
        [
          { ...here, earlier: ['talk'] },
          { ...other, ...ended, name: 'api-2' },
        ],
        no,
      ),
  ],
  '`/resume ID` of a conversation without a name': ['api', () => decideClaim(talk, [here], yes)],
  '`/resume ID` of a conversation that is open elsewhere': ['api', () => decideClaim(talk, [here, other], yes)],
  '`--fork-session`': ['api-2', () => decideClaim(fork, [own], no)],
  '`--fork-session` with `MESH_NAME` of a session that ended': [
    'api',
    () => decideClaim({ ...fork, explicit: true }, [{ ...own, ...ended }], never),
  ],
  '`/background`': ['web', () => decideClaim(moved, [left], never)],
  '`/background` when two sessions of the worktree ended just then': [
    'api',
    () => decideClaim(moved, [left, { ...left, name: 'docs', session: 'more' }], never),
  ],
  'a new session of the worktree': ['api', () => decideClaim(claimant(), [{ ...own, ...ended }], never)],
  'a new session of another worktree': [
    'api-2',
    () => decideClaim(claimant({ worktree: '/other' }), [{ ...own, ...ended }], never),
  ],
}

test('the table of names and the cases played here are the same', () => {
  expect(rows.map(([what]) => what)).toEqual(Object.keys(scenarios))
})

test.each(rows)('names - %s: %s', (what, outcome) => {
  const [name, claim] = scenarios[what]!
  expect(claim()).toMatchObject({ outcome, record: { name } })
})
