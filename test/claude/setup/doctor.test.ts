/** Doctor beside living sessions: looking costs no turn and no token; asked to, it sends a message through each's door. */
import { describe, expect, test } from 'vitest'
import { kill } from '../support/client.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()

interface Finding {
  check: string
  ok: boolean
  detail: string
}

describe.skipIf(missing)('doctor', () => {
  test('a living session is well, and hears nothing of being looked at', async () => {
    const { mesh, model, terminal } = suite
    const session = await terminal.start()
    const { name } = await mesh.reaches(session.pid, 'idle')
    const before = model.requests.length
    const findings = await mesh.json<Finding[]>('doctor', '--json')
    expect(findings.filter(({ ok }) => !ok)).toEqual([])
    const door = findings.find(({ check }) => check === 'door.session')
    expect(door!.detail).toMatch(new RegExp(`^${name}: .*inbox-socket available`))
    expect(model.requests.length).toBe(before)
  })

  test('with --wake its model reads a message through its door', async () => {
    const { mesh, model } = suite
    const findings = await mesh.json<Finding[]>('doctor', '--wake', '--json')
    const door = findings.find(({ check }) => check === 'door.session')!
    console.log(door.detail)
    expect(door).toMatchObject({ ok: true, detail: expect.stringContaining('through inbox-socket') })
    expect(model.saw('from yourself]\nmesh doctor tests this door').length).toBeGreaterThan(0)
  })

  test('a client killed together with every witness is found by doctor', async () => {
    const { mesh, terminal } = suite
    const session = await terminal.start()
    const { name } = await mesh.reaches(session.pid, 'idle')
    const all = (await mesh.ps()).filter(({ harness, status }) => harness === 'claude-code' && status !== 'gone')
    await mesh.run('down')
    for (const { pid } of all) for (const one of [...mesh.sidecarProcesses(pid), pid]) kill(one, 'SIGKILL')
    await mesh.run('up')
    await expect(mesh.run('doctor', '--json')).rejects.toThrow('ended with 4')
    const findings = await mesh.json<Finding[]>('doctor', '--fix', '--json')
    expect(findings.find(({ check, ok }) => check === 'sidecar.dead' && ok)!.detail).toContain('reported the end')
    expect((await mesh.ps()).find((one) => one.name === name)).toMatchObject({ status: 'gone', reason: 'killed' })
  })
})

testNothingLeft(suite)
