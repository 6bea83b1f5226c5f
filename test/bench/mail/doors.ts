/**
 * The two doors of a busy session of the real client, side by side: the mail file that a hook takes, and a frame to the
 * inbox socket. A tool call is held until the mail is at its door; from its end to the model's next request is measured.
 * On request only (`--only doors`): it decides which door mesh prefers, and does not change from day to day.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { call } from '../../../src/client/client.ts'
import { sessionDir, socketPath } from '../../../src/host/home.ts'
import { newId } from '../../../src/wire/names.ts'
import { type Lab as ClientLab, hasTmux, makeLab, runPrint, submit, Terminal } from '../../claude/support/client.ts'
import { eventually } from '../../claude/support/eventually.ts'
import { bash, type Model, type ModelRequest, startModel } from '../../claude/support/mock-model.ts'
import type { Lab } from '../lab/lab.ts'
import { isLinux, timeProcess } from '../lab/process.ts'
import { ms, type Row, type Summary, skipped, spread, summarize } from '../lab/row.ts'
import { installedClient, postFrame } from './wake.ts'

const WHAT = 'busy session: end of its tool → request with the mail'
const ROUNDS = 25
const CHARS_PER_TOKEN = 4
/** What a person could notice at all. */
const BUDGET_MS = 20

const ways = ['none', 'hook', 'socket'] as const
type Way = (typeof ways)[number]

interface Sample {
  took: number
  /** Characters that the client puts around the text; null without mail. */
  wrapper: number | null
  /** The mail was in the very next request. */
  next: boolean
}

interface Bench {
  lab: Lab
  clientLab: ClientLab
  model: Model
  client: string
}

export async function measureDoors(lab: Lab): Promise<Row> {
  const client = installedClient()
  if (!client || !hasTmux() || !isLinux)
    return skipped(WHAT, '-', 'needs Linux, tmux and the client in the tests’ cache')
  const model = await startModel()
  const clientLab = makeLab(model.url)
  Object.assign(clientLab.env, {
    MESH_HOME: lab.home.root,
    MESH_ENGINE: lab.env.MESH_ENGINE,
    MESH_PROJECT: lab.project,
  })
  const terminal = new Terminal(clientLab, client)
  try {
    timeProcess(process.execPath, [lab.bin, 'install'], clientLab.env)
    await lab.join('api')
    const bench = { lab, clientLab, model, client }
    const interactive = await measureTurn(bench, async (prompt) => {
      const session = await terminal.start()
      await submit(session, prompt)
      return session.pid
    })
    const print = await measureTurn(bench, async (prompt) => runPrint(clientLab, client, prompt).pid)
    return toRow(interactive, print)
  } finally {
    terminal.close()
    await model.close()
    rmSync(clientLab.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

type Samples = Record<Way, Sample[]>
let turns = 0

/** One turn of many tool calls, the ways in rotation. */
async function measureTurn(bench: Bench, begin: (prompt: string) => Promise<number>): Promise<Samples> {
  const { model, clientLab } = bench
  const script = `doors-${++turns}`
  const fifo = join(clientLab.project, `fifo-${turns}`)
  execFileSync('mkfifo', [fifo])
  const calls = Array.from({ length: ROUNDS * ways.length + 1 }, () => ({ call: [bash(`read -r x <'${fifo}'`)] }))
  model.script(script, [...calls, { say: 'done' }])
  const pid = await begin(`play ${script}`)
  const samples: Samples = { none: [], hook: [], socket: [] }
  // The first call warms up.
  await release(fifo, model, async () => {})
  for (let round = 0; round < ROUNDS; round++)
    for (const way of ways) samples[way].push(await measureStep(bench, pid, fifo, way))
  return samples
}

let count = 0

async function measureStep(bench: Bench, pid: number, fifo: string, way: Way): Promise<Sample> {
  const { lab, model, clientLab } = bench
  const dir = sessionDir(lab.home, `cc-${pid}`)
  const word = `door-word-${++count}-end`
  const bring = {
    none: async () => {},
    hook: async () => {
      const { name } = await call(socketPath(dir), 'whoami', {})
      await call(lab.target('api').socket, 'send', { id: newId('m'), to: name, text: word })
      await eventually('the mail lies there', () => readFileSync(join(dir, 'mail'), 'utf8').includes(word))
    },
    socket: async () => {
      await postFrame(dir, word)
      await eventually('the client has queued it', () => transcripts(clientLab).some((text) => text.includes(word)))
    },
  }
  const { took, request } = await release(fifo, model, bring[way])
  if (way === 'none') return { took, wrapper: null, next: true }
  const read = await eventually('the model reads it', () => model.saw(word)[0])
  return { took, wrapper: wrapperOf(read, word), next: read === request }
}

/** Waits for the tool, brings the mail, lets the tool end and waits for the model's next request. */
async function release(fifo: string, model: Model, bring: () => Promise<void>) {
  // Opens once the tool reads.
  const end = await open(fifo, 'w')
  await bring()
  const before = model.requests.length
  const startedAt = performance.timeOrigin + performance.now()
  await end.write('\n')
  await end.close()
  const next = () => model.requests.slice(before).find(({ auxiliary }) => !auxiliary)
  const request = await eventually('the next request', next)
  return { took: request.at - startedAt, request }
}

/** What stands around our text: for the hook the text is the rendered element, for the frame what was posted. */
function wrapperOf(request: ModelRequest, word: string): number {
  const texts = request.messages.flatMap(({ content }) =>
    typeof content === 'string' ? [content] : content.map((block) => block.text ?? ''),
  )
  const whole = texts.findLast((text) => text.includes(word))!
  const own = /<mesh-[\s\S]*<\/mesh-[0-9a-f]+>/.exec(whole)?.[0] ?? word
  return whole.length - own.length
}

function transcripts({ configDir }: ClientLab): string[] {
  const projects = join(configDir, 'projects')
  const dirs = readdirSync(projects).map((name) => join(projects, name))
  const files = dirs.flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)))
  return files.filter((path) => path.endsWith('.jsonl')).map((path) => readFileSync(path, 'utf8'))
}

function toRow(interactive: Samples, print: Samples): Row {
  const took = (samples: Samples) =>
    Object.fromEntries(ways.map((way) => [way, summarize(samples[way].map((one) => one.took))])) as Record<Way, Summary>
  const [own, inPrint] = [took(interactive), took(print)]
  const both = (way: Way) => [...interactive[way], ...print[way]]
  // The client puts reminders of its own beside some of them.
  const tokens = (way: Way) => Math.ceil(summarize(both(way).map(({ wrapper }) => wrapper ?? 0)).p50 / CHARS_PER_TOKEN)
  const late = (way: Way) => both(way).filter(({ next }) => !next).length
  const line = (where: string, of: Record<Way, Summary>) =>
    `${where}: without mail ${spread(of.none)}; hook ${spread(of.hook)}; socket ${spread(of.socket)}`
  return {
    what: WHAT,
    measured: `hook ${ms(own.hook.p50)}, socket ${ms(own.socket.p50)}`,
    anchor: `without mail ${ms(own.none.p50)}`,
    ratio: own.hook.p50 / own.socket.p50,
    budget: `hook ≤ socket + ${BUDGET_MS} ms`,
    ok: own.hook.p50 <= own.socket.p50 + BUDGET_MS,
    details: [
      line('interactive', own),
      line('claude -p', inPrint),
      `the client’s wrapper around the text: hook ${tokens('hook')} tokens, socket ${tokens('socket')} (characters by four)`,
      `not in the very next request: hook ${late('hook')}, socket ${late('socket')} of ${2 * ROUNDS} each`,
    ],
    figures: { interactive: own, print: inPrint, tokens: { hook: tokens('hook'), socket: tokens('socket') } },
  }
}
