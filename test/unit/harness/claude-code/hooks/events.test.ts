/** What the hooks drop into the spool for the sidecar. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { context, describeEachShell, payload, silent } from './lab.ts'

describeEachShell('hook events', (lab) => {
  const first = () => join(lab.dir, 'spool', lab.spooled()[0]!)

  test.each(['UserPromptSubmit', 'Stop', 'StopFailure', 'SessionEnd', 'PreCompact', 'PermissionRequest'])(
    '%s goes into the spool, as it is',
    (event) => {
      expect(lab.run(event)).toMatchObject(silent)
      const [name, ...rest] = lab.spooled()
      expect(rest).toEqual([])
      expect(name).toMatch(new RegExp(`^${event}-\\d+\\.json$`))
      expect(readFileSync(first(), 'utf8')).toBe(payload(event))
      expect(statSync(first()).mode & 0o777).toBe(0o600)
    },
  )

  test('a large event goes through whole; one over the limit is cut', () => {
    const input = `${'x'.repeat(1_000_000)}\n`
    expect(lab.run('Stop', { input })).toMatchObject(silent)
    expect(statSync(first()).size).toBe(input.length)
    rmSync(first())
    expect(lab.run('Stop', { input: 'x'.repeat(6_000_000) })).toMatchObject({ stdout: '', stderr: '' })
    expect(statSync(first()).size).toBe(4 * 1024 * 1024)
  })

  test('a spool over its limit gets a mark instead of the event', () => {
    for (let i = 0; i < 4; i++) writeFileSync(join(lab.dir, 'spool', `Stop-${i}.json`), 'x'.repeat(4_300_000))
    expect(lab.run('Stop')).toMatchObject(silent)
    expect(lab.spooled()).toEqual(['Stop-0.json', 'Stop-1.json', 'Stop-2.json', 'Stop-3.json', 'overflow'])
  })

  test('PostToolBatch without mail leaves no trace', () => {
    expect(lab.run('PostToolBatch')).toMatchObject(silent)
    expect(lab.spooled()).toEqual([])
  })

  test("a subagent's Stop leaves the mail, and is spooled", () => {
    lab.put('mail', '"words"')
    const event = { ...JSON.parse(payload('Stop')), agent_id: 'a1', agent_type: 'general-purpose' }
    expect(lab.run('Stop', { input: JSON.stringify(event) })).toMatchObject(silent)
    expect(readdirSync(lab.dir)).toContain('mail')
    expect(lab.spooled()).toHaveLength(1)
    expect(JSON.parse(readFileSync(first(), 'utf8'))).toEqual(event)
  })

  test('a client that does not give its process id is the parent of the line', () => {
    const own = join(lab.home, 'run', `cc-${process.pid}`)
    mkdirSync(join(own, 'spool'), { recursive: true })
    lab.env = { PATH: lab.env.PATH! }
    for (const event of ['UserPromptSubmit', 'Stop', 'StopFailure', 'SessionEnd']) {
      expect(lab.run(event)).toMatchObject(silent)
      const [name, ...rest] = readdirSync(join(own, 'spool'))
      expect([name, rest]).toEqual([expect.stringMatching(`^${event}-`), []])
      rmSync(join(own, 'spool', name!))
    }
    for (const event of ['PostToolBatch', 'Stop', 'UserPromptSubmit']) {
      writeFileSync(join(own, 'mail'), '"words"')
      expect(lab.run(event).stdout).toBe(context(event, 'words'))
    }
    writeFileSync(join(own, 'wake'), 'words')
    expect(lab.run('FileChanged')).toMatchObject({ status: 2, stderr: 'words' })
  })
})
