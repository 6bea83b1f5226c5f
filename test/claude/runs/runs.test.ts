/** A run of a session: its end wakes the session, which had ended its turn, with what the run last said. */
import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, useSuite } from '../support/suite.ts'

const suite = useSuite()
const RUNS = 200
const AT_ONCE = 8
const CEILING_MS = 120_000

describe.skipIf(missing)('the owner of a run', () => {
  let current: Interactive | undefined
  afterEach(async () => {
    if (!current) return
    kill(current.pid, 'SIGKILL')
    await suite.mesh.reaches(current.pid, 'gone')
    current = undefined
  })

  test('ends its turn, and is woken by the end of its run with the reason and the last words, once', async () => {
    const { model, mesh, lab, terminal } = suite
    const session = await terminal.start({ bypass: true })
    current = session
    await mesh.reaches(session.pid, 'idle')
    const gate = join(lab.project, `end-${session.pid}`)
    const script = `until [ -e ${gate} ]; do sleep 0.02; done; echo boom-${session.pid} >&2; exit 7`
    const started = `started-${session.pid}`
    model.script(started, [
      { call: [bash(`node '${meshBin}' run --detach --name build -- sh -c '${script}'`)] },
      { say: 'I wait for the build.' },
    ])
    await submit(session, `play ${started}`)
    await eventually('the run was started', () => model.requests.find(({ fresh }) => /r_[0-9a-f]{32} pid/.test(fresh)))
    await mesh.reaches(session.pid, 'idle')
    expect(existsSync(gate)).toBe(false)
    const at = Date.now()
    writeFileSync(gate, '')
    const request = await eventually('the model reads the end', () => model.saw(`boom-${session.pid}`)[0])
    console.log(`end of a run → its owner’s model request: ${request.at - at} ms`)
    expect(request.fresh).toMatch(/\[run r_[0-9a-f]{10} build failed: exit 7 after \d+\.\d s\]\s+boom-/)
    await mesh.reaches(session.pid, 'idle')
    expect(model.requests.at(-1)!.text.split('build failed: exit 7').length - 1).toBe(1)
  })

  test.runIf(process.env.MESH_CLAUDE_FULL === '1')('is woken by 200 ends at once in few hand-overs', async () => {
    const { model, mesh, lab, terminal } = suite
    const session = await terminal.start()
    current = session
    const { name } = await mesh.reaches(session.pid, 'idle')
    // Whoever opens it for reading waits until somebody opens it for writing: all at the same moment.
    const gate = join(lab.project, `gate-${session.pid}`)
    execFileSync('mkfifo', [gate])
    const script = `read -r go < ${gate}; echo boom >&2; exit 7`
    for (let started = 0; started < RUNS; started += AT_ONCE) {
      const batch = Array.from({ length: AT_ONCE }, () =>
        mesh.run('run', '--as', name, '--detach', '--name', 'build', '--', 'sh', '-c', script),
      )
      await Promise.all(batch)
    }
    closeSync(openSync(gate, 'w'))
    const at = Date.now()
    const read = () =>
      model.requests
        .filter(({ auxiliary }) => !auxiliary)
        .flatMap(({ fresh }) => fresh.match(/<mesh-[0-9a-f]+>[\s\S]*?<\/mesh-[0-9a-f]+>/g) ?? [])
        .filter((text) => text.includes('build failed'))
    const ids = () => read().flatMap((text) => text.match(/r_[0-9a-f]{10}(?= build failed: exit 7)/g) ?? [])
    await eventually(
      () => `all ends are read, but ${ids().length}`,
      () => ids().length >= RUNS,
      CEILING_MS,
    )
    const tokens = read().reduce((sum, text) => sum + text.length, 0) / 4
    console.log(
      `${RUNS} ends at once: ${read().length} hand-overs, the last read after ${Date.now() - at} ms, ${(tokens / RUNS).toFixed(0)} tokens each`,
    )
    expect(new Set(ids()).size).toBe(RUNS)
    expect(ids().length).toBe(RUNS)
    expect(read().length).toBeLessThanOrEqual(RUNS / 10)
    expect(tokens / RUNS).toBeLessThanOrEqual(80)
  })
})
