/** A run of a session: its end wakes the session, which had ended its turn, with what the run last said. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { meshBin } from './support/mesh.ts'
import { bash } from './support/mock-model.ts'
import { missing, useSuite } from './support/suite.ts'

const suite = useSuite()

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
})
