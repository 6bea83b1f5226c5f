/** A plain `claude -p` that a session's Bash starts is that session's run: in the tree, told to its end, and its parent is woken. */
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash } from '../support/mock-model.ts'
import { missing, useSuite } from '../support/suite.ts'

interface Shown {
  runId: string
  kind: string
  name: string
  owner: string
  parent: string | null
  state: string
  reason?: string
  pid: number
}

const suite = useSuite()

describe.skipIf(missing)('a session that was started by a session', () => {
  let current: Interactive | undefined
  afterEach(async () => {
    if (!current) return
    kill(current.pid, 'SIGKILL')
    await suite.mesh.reaches(current.pid, 'gone')
    current = undefined
  })

  const runs = () => suite.mesh.json<Shown[]>('tree', '--json')

  /** A parent that starts `claude -p` in the background and ends its turn. */
  async function start(child: string): Promise<Shown> {
    const { model, mesh, terminal, claude } = suite
    const session = await terminal.start({ bypass: true })
    current = session
    const { name } = await mesh.reaches(session.pid, 'idle')
    const starting = `starting-${session.pid}`
    const command = `nohup '${claude}' -p 'play ${child}' --dangerously-skip-permissions </dev/null >/dev/null 2>&1 &`
    model.script(starting, [{ call: [bash(command)] }, { say: 'I wait for it.' }])
    await submit(session, `play ${starting}`)
    const own = (await eventually('the session is a run', async () =>
      (await runs()).find(({ pid }) => pid === session.pid),
    )) as Shown
    expect(own).toMatchObject({ kind: 'session', name, owner: name, parent: null })
    const found = (await eventually('it has a child', async () =>
      (await runs()).find(({ parent }) => parent === own.runId),
    )) as Shown
    expect(found).toMatchObject({ kind: 'session', owner: name })
    await mesh.reaches(session.pid, 'idle')
    return found
  }

  test('ends: its idle parent is woken with its last words', async () => {
    const { model } = suite
    const child = `finish-${process.pid}`
    model.script(child, [{ call: [bash('sleep 2')] }, { say: `ported-${process.pid}` }])
    const found = await start(child)
    const request = await eventually('the parent reads the end', () =>
      model.requests.find(({ fresh }) => fresh.includes(`[run ${found.runId.slice(0, 12)}`)),
    )
    expect(request.fresh).toMatch(/\[run r_[0-9a-f]{10} \S+ completed: finished after \d+\.\d s\]\s+ported-/)
    expect((await runs()).find(({ runId }) => runId === found.runId)).toMatchObject({ state: 'completed' })
  })

  test('is killed together with its sidecar: reported as terminated, and its parent is woken', async () => {
    const { model } = suite
    const child = `killed-${process.pid}`
    model.script(child, [() => new Promise(() => {})])
    const found = await start(child)
    await eventually('its model is asked', () => model.requests.some(({ fresh }) => fresh.includes(`play ${child}`)))
    const at = Date.now()
    process.kill(found.pid, 'SIGKILL')
    const request = await eventually('the parent reads the end', () =>
      model.requests.find(({ fresh }) => fresh.includes(`[run ${found.runId.slice(0, 12)}`)),
    )
    console.log(`kill -9 of a child session → its parent’s model request: ${request.at - at} ms`)
    expect(request.fresh).toMatch(/terminated: killed after/)
  })

  test('waits for a permission and then becomes idle: its parent is woken once for each', async () => {
    const { model, mesh, terminal, lab } = suite
    const parent = await terminal.start({ bypass: true })
    current = parent
    const { name } = await mesh.reaches(parent.pid, 'idle')
    await submit(parent, 'hello')
    const own = (await eventually('the parent is a run', async () =>
      (await runs()).find(({ pid }) => pid === parent.pid),
    )) as Shown
    await mesh.reaches(parent.pid, 'idle')
    const child = await terminal.start({ env: { MESH_RUN_ID: own.runId, MESH_LINEAGE: own.runId } })
    await mesh.reaches(child.pid, 'idle')
    const asks = `asks-${child.pid}`
    const path = join(lab.project, asks)
    const write = { call: [{ name: 'Write', input: { file_path: path, content: 'x' } }] }
    model.script(asks, [write, { say: `written-${child.pid}` }])
    await submit(child, `play ${asks}`)
    const heard = (what: RegExp) =>
      eventually(`the parent reads ${what}`, () => model.requests.filter(({ fresh }) => what.test(fresh))[0])
    await mesh.reaches(child.pid, 'waiting')
    const waits = `waits: permission prompt: Write: ${path}]`
    const asked = await heard(/\[run r_[0-9a-f]{10} \S+ waits: /)
    expect(asked.fresh).toContain(waits)
    // The dialog takes no keys in its first moments.
    await eventually('the dialog is answered', async () => {
      child.press('Enter')
      return (await mesh.sessionOf(child.pid))?.status !== 'waiting'
    })
    const idle = await heard(/\[run r_[0-9a-f]{10} \S+ is idle: .*\]\s+written-/)
    await mesh.reaches(parent.pid, 'idle')
    expect((await runs()).find(({ pid }) => pid === child.pid)).toMatchObject({ state: 'idle', owner: name })
    expect(idle.text.split(waits)).toHaveLength(2)
    expect(idle.text.split('waits: ')).toHaveLength(2)
    kill(child.pid, 'SIGTERM')
    await heard(/\[run r_[0-9a-f]{10} \S+ (terminated|cancelled|completed)/)
  })
})
