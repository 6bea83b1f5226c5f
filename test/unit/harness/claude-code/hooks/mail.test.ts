/** Waiting mail that a hook gives to the model, and texts of mesh's own. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { context, describeEachShell, PID, payload, silent } from './lab.ts'

const mail = 'two\nlines "quoted" ✓'

describeEachShell('hooks give mail', (lab) => {
  test.each(['PostToolBatch', 'Stop'])('%s gives waiting mail to the model, once', (event) => {
    lab.put('mail', JSON.stringify(mail))
    expect(lab.run(event)).toMatchObject({ ...silent, stdout: context(event, mail) })
    // The turn goes on, so there was no Stop.
    expect(lab.spooled()).toEqual([expect.stringMatching(/^MailTaken-\d+\.json$/)])
    expect(existsSync(join(lab.dir, 'mail'))).toBe(false)
    expect(lab.run('PostToolBatch')).toMatchObject(silent)
  })

  test('a MESH_HOME counts if it is absolute: the client changes directories', () => {
    const other = join(lab.root, 'other')
    for (const at of [other, join(lab.root, 'relative')]) {
      mkdirSync(join(at, 'run', `cc-${PID}`, 'spool'), { recursive: true })
      writeFileSync(join(at, 'run', `cc-${PID}`, 'mail'), JSON.stringify(at))
    }
    lab.put('mail', JSON.stringify(mail))
    const relative = { MESH_HOME: 'relative' }
    expect(lab.run('PostToolBatch', { env: relative }).stdout).toBe(context('PostToolBatch', mail))
    expect(lab.run('PostToolBatch', { env: relative })).toMatchObject(silent)
    expect(lab.run('PostToolBatch', { env: { MESH_HOME: other } }).stdout).toBe(context('PostToolBatch', other))
    expect(lab.run('UserPromptSubmit', { env: relative })).toMatchObject(silent)
    expect(lab.events()).toEqual(['MailTaken', 'UserPromptSubmit'])
  })

  test('UserPromptSubmit gives what mesh itself left, once, and mail before it', () => {
    lab.put('left', JSON.stringify('left'))
    lab.put('mail', JSON.stringify('mail'))
    expect(lab.run('UserPromptSubmit')).toMatchObject({ ...silent, stdout: context('UserPromptSubmit', 'mail') })
    expect(lab.run('UserPromptSubmit')).toMatchObject({ ...silent, stdout: context('UserPromptSubmit', 'left') })
    expect(lab.run('UserPromptSubmit')).toMatchObject(silent)
    expect(readdirSync(lab.dir).filter((name) => /left|taken/.test(name))).toEqual([])
  })

  test('UserPromptSubmit takes waiting mail along, after its event', () => {
    lab.put('mail', JSON.stringify(mail))
    expect(lab.run('UserPromptSubmit')).toMatchObject({ ...silent, stdout: context('UserPromptSubmit', mail) })
    expect(lab.events()).toEqual(['MailTaken', 'UserPromptSubmit'])
    expect(lab.run('UserPromptSubmit')).toMatchObject(silent)
  })

  test("a subagent's PostToolBatch leaves the mail", () => {
    lab.put('mail', '"words"')
    expect(lab.run('PostToolBatch', { input: payload('PostToolBatch.in-subagent') })).toMatchObject(silent)
    expect(existsSync(join(lab.dir, 'mail'))).toBe(true)
  })

  test('last words that mention agents do not make it a subagent', () => {
    lab.put('mail', JSON.stringify('words'))
    const event = { ...JSON.parse(payload('Stop')), last_assistant_message: '{"agent_id": "a1"}' }
    expect(lab.run('Stop', { input: JSON.stringify(event) }).stdout).toBe(context('Stop', 'words'))
  })

  test('tool output that mentions agents does not make it a subagent', () => {
    lab.put('mail', JSON.stringify('words'))
    const event = JSON.parse(payload('PostToolBatch')) as { cwd: string; tool_calls: object[] }
    event.cwd = '/home/dev/"agent_id"'
    event.tool_calls.push({ agent_id: 'x', tool_response: `"agent_id" ${'y'.repeat(500_000)}` })
    expect(lab.run('PostToolBatch', { input: JSON.stringify(event) }).stdout).toBe(context('PostToolBatch', 'words'))
  })

  test.each(['', '\0\0\0\0', '"half of a te', 'words'])(
    'a damaged file (%j) is taken away and says nothing',
    (text) => {
      for (const [file, event] of [
        ['mail', 'PostToolBatch'],
        ['mail', 'Stop'],
        ['mail', 'UserPromptSubmit'],
        ['left', 'UserPromptSubmit'],
      ] as const) {
        lab.put(file, text)
        expect(lab.run(event)).toMatchObject({ status: 0, stdout: '' })
        expect(readdirSync(lab.dir)).toEqual(['spool'])
      }
    },
  )

  test('an empty file to wake with wakes nobody', () => {
    lab.put('wake', '')
    expect(lab.run('FileChanged')).toMatchObject(silent)
  })

  test('CwdChanged gives the watched paths again, once a sidecar has written them down', () => {
    expect(lab.run('CwdChanged')).toMatchObject(silent)
    lab.put('watch-paths', JSON.stringify([join(lab.dir, 'wake')]))
    const hookSpecificOutput = { hookEventName: 'CwdChanged', watchPaths: [join(lab.dir, 'wake')] }
    expect(lab.run('CwdChanged')).toMatchObject({ ...silent, stdout: `${JSON.stringify({ hookSpecificOutput })}\n` })
    expect(lab.spooled()).toEqual([])
  })

  test('one of many takers gets the mail', async () => {
    lab.put('mail', JSON.stringify('words'))
    const [line] = lab.lines('PostToolBatch')
    const takers = await Promise.all(Array.from({ length: 12 }, () => lab.start(line!, 'stdout').ended))
    expect(takers.map(({ text }) => text).filter((text) => text !== '')).toEqual([context('PostToolBatch', 'words')])
    expect(lab.spooled()).toHaveLength(1)
  })
})
