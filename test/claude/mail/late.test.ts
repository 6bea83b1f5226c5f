/** A session that joined after its start hook had been answered reads mesh's start text with its next turn, once. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { Life, startTexts } from '../support/life.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const life = new Life(suite)

describe.skipIf(missing)('a session whose engine comes late', () => {
  afterAll(() => suite.terminal?.close())

  test('is told what mesh is with its next turn, once', async () => {
    const { lab, mesh, terminal } = suite
    await mesh.run('down')
    const gate = join(lab.root, 'gate')
    const engine = join(lab.root, 'slow-engine')
    const script = `#!/bin/sh\ncase $1 in -*v*) ;; *) until [ -e ${gate} ]; do sleep 0.05; done ;; esac\nexec '${lab.env.MESH_ENGINE}' "$@"\n`
    writeFileSync(engine, script, { mode: 0o755 })
    const session = await terminal.start({ env: { MESH_ENGINE: engine } })
    const { pid } = session
    session.type(`first ${pid}`)
    session.press('Enter')
    const first = await life.readBy(`first ${pid}`)
    expect(startTexts(first)).toBe('')
    expect(first.text).toContain('the engine is not reachable now')
    expect(existsSync(gate)).toBe(false)
    writeFileSync(gate, '')
    const { name } = await mesh.reaches(pid, 'idle')
    const { id } = await mesh.send(name, `mail-${pid}`)
    expect(startTexts(await life.readBy(`mail-${pid}`))).toContain(`You are "${name}" on mesh`)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(pid, 'idle')
    const later = await life.say(session, `second ${pid}`)
    expect(later.text.split(`You are "${name}" on mesh`)).toHaveLength(2)
    await life.end(session)
  })
})

testNothingLeft(suite)
