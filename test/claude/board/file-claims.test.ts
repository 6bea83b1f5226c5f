/** Two sessions of the real client on one file: both are told, once; so are who edits a claimed file and who claims it. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Interactive, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash, type ToolCall } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const CHARS_PER_TOKEN = 4

interface Player {
  session: Interactive
  name: string
  conversation: string
}

describe.skipIf(missing)('two sessions', () => {
  let [one, two]: Player[] = []
  let words = 0
  beforeAll(async () => {
    ;[one, two] = [await join_(), await join_()]
  })
  afterAll(() => suite.terminal?.close())

  async function join_(): Promise<Player> {
    const { mesh, model, terminal } = suite
    const session = await terminal.start({ bypass: true })
    const { name } = await mesh.reaches(session.pid, 'idle')
    const word = `hello-${session.pid}`
    await submit(session, word)
    const { sessionId } = await eventually('its model is asked', () => model.saw(word)[0])
    await mesh.reaches(session.pid, 'idle')
    return { session, name, conversation: sessionId }
  }

  /** Has the session's model make these calls, one after the other, and end its turn. */
  async function plays({ session }: Player, ...calls: ToolCall[]): Promise<void> {
    const word = `go-${++words}`
    const done = `done-${words}`
    suite.model.script(word, [...calls.map((call) => ({ call: [call] })), { say: done }])
    await submit(session, `play ${word}`)
    await eventually(`${word} is played`, () => session.screen().includes(done))
    await suite.mesh.reaches(session.pid, 'idle')
  }

  const write = (path: string, content: string): ToolCall => {
    return { name: 'Write', input: { file_path: join(suite.lab.project, path), content } }
  }

  /** What mesh told the session's model of a file, in the last of its requests. */
  function toldOf(player: Player, path: string): string[] {
    const { requests } = suite.model
    const last = requests.findLast(({ sessionId, auxiliary, agentId }) => {
      return sessionId === player.conversation && !auxiliary && agentId === undefined
    })
    return [...(last?.text ?? '').matchAll(/<(mesh-[0-9a-f]{8})>\n[\s\S]*?<\/\1>/g)]
      .map(([text]) => text)
      .filter((text) => text.includes(path))
  }

  const isTold = (player: Player, path: string) =>
    eventually(`${player.name} is told of ${path}`, () => toldOf(player, path)[0])

  test('that edit one file are both notified, once, in 60 tokens; a single editor is not', async () => {
    await plays(one!, write('shared.txt', 'one'), write('mine.txt', 'one'))
    await plays(
      two!,
      bash('cat shared.txt'),
      { name: 'Read', input: { file_path: join(suite.lab.project, 'shared.txt') } },
      write('shared.txt', 'two'),
    )
    const [first, second] = [await isTold(one!, 'shared.txt'), await isTold(two!, 'shared.txt')]
    expect(first).toContain(`shared.txt: ${two!.name} edits it too, in your worktree.`)
    expect(second).toContain(`shared.txt: ${one!.name} edits it too, in your worktree.`)
    for (const told of [first, second]) expect(told.length / CHARS_PER_TOKEN).toBeLessThanOrEqual(60)
    await plays(
      one!,
      { name: 'Read', input: { file_path: join(suite.lab.project, 'shared.txt') } },
      write('shared.txt', 'three'),
    )
    await plays(two!, write('other.txt', 'two'))
    await plays(one!, bash('true'))
    for (const player of [one!, two!]) expect(toldOf(player, 'shared.txt')).toHaveLength(1)
    for (const path of ['mine.txt', 'other.txt']) expect([toldOf(one!, path), toldOf(two!, path)]).toEqual([[], []])
  })

  test('are both notified when a subagent of one edits a file that the other claims', async () => {
    await plays(one!, bash(`node '${meshBin}' claim 'lib/**' --why 'new grammar'`))
    suite.model.script('sub-edits', [{ call: [write('lib/deep/a.txt', 'x')] }, { say: 'sub-done' }])
    const agent = { description: 'edit', prompt: 'play sub-edits', subagent_type: 'general-purpose' }
    await plays(two!, { name: 'Agent', input: agent })
    const [holder, editor] = [await isTold(one!, 'lib/deep/a.txt'), await isTold(two!, 'lib/deep/a.txt')]
    expect(holder).toContain(`lib/deep/a.txt: ${two!.name} edited it, though you claim it.`)
    expect(editor).toContain(`lib/deep/a.txt: you edited it, but ${one!.name} claims it with lib/**, "new grammar".`)
    for (const told of [holder, editor]) expect(told.length / CHARS_PER_TOKEN).toBeLessThanOrEqual(60)
  })

  testNothingLeft(suite)
})
