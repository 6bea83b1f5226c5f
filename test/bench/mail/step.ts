/** What mesh adds to a model step: the hook that runs after each batch of tool calls, as Claude Code runs it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { settingsHooks } from '../../../src/harness/claude-code/hooks/entries.ts'
import type { Lab } from '../lab/lab.ts'
import { timeProcess } from '../lab/process.ts'
import { ms, type Row, spread, summarize } from '../lab/row.ts'

const ROUNDS = 150
/** Any pid will do: the guard looks for `run/cc-<pid>/mail`. */
const PID = '4194000'
const BATCH = JSON.stringify({
  session_id: '00000000-0000-4000-8000-000000000000',
  hook_event_name: 'PostToolBatch',
  tool_calls: [{ tool_name: 'Bash', tool_input: { command: 'npm test' }, tool_response: 'x'.repeat(4000) }],
})

/** The settings line of an event, as `mesh install` wrote it. */
export function hookLine(lab: Lab, event: string, index = 0): string {
  return settingsHooks(lab.home.root)[event]![index]!.command
}

export function measureStep(lab: Lab): Row {
  const line = hookLine(lab, 'PostToolBatch')
  // A home in which no sidecar sweeps: this session has none.
  const home = join(lab.root, 'still')
  const env = { ...lab.env, MESH_HOME: home, CLAUDE_PID: PID }
  const dir = join(home, 'run', `cc-${PID}`)
  mkdirSync(join(dir, 'spool'), { recursive: true })
  const mail = JSON.stringify('x'.repeat(600))
  const samples = { guard: [] as number[], nothing: [] as number[], mail: [] as number[], node: [] as number[] }
  for (let i = 0; i < ROUNDS; i++) {
    samples.nothing.push(timeProcess('/bin/sh', ['-c', 'true'], env, BATCH))
    samples.guard.push(timeProcess('/bin/sh', ['-c', line], env, BATCH))
    if (i % 5 > 0) continue
    writeFileSync(join(dir, 'mail'), mail)
    samples.mail.push(timeProcess('/bin/sh', ['-c', line], env, BATCH))
    samples.node.push(timeProcess(process.execPath, ['-e', '0'], env, BATCH))
  }
  rmSync(home, { recursive: true })
  const [guard, nothing] = [summarize(samples.guard), summarize(samples.nothing)]
  return {
    what: 'added to a model step, no mail: the hook’s whole process',
    measured: ms(guard.p50),
    anchor: `sh -c true ${ms(nothing.p50)}`,
    ratio: guard.p50 / nothing.p50,
    budget: '≤ 3 ms',
    ok: guard.p50 <= 3,
    details: [
      `guard ${spread(guard)}; sh -c true ${spread(nothing)}; more than an empty hook: ${ms(guard.p50 - nothing.p50)}`,
      `with mail to hand over ${ms(summarize(samples.mail).p50)}; a hook that starts Node (node -e 0) ${ms(summarize(samples.node).p50)}`,
    ],
    figures: { guard, nothing, mail: summarize(samples.mail), node: summarize(samples.node) },
  }
}
