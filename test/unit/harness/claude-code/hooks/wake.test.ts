/** The hook that wakes an idle session: only here exit code 2 is wanted. */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { settingsHooks } from '../../../../../src/harness/claude-code/hooks/entries.ts'
import { describeEachShell, silent } from './lab.ts'

const mail = 'two\nlines "quoted" ✓'

describeEachShell('FileChanged', (lab) => {
  test('gives the text to the client and asks for the wake, once', () => {
    lab.put('wake', mail)
    expect(lab.run('FileChanged')).toMatchObject({ status: 2, stdout: '', stderr: mail })
    expect(lab.spooled()).toEqual([expect.stringMatching(/^MailTaken-\d+\.json$/)])
    expect(existsSync(join(lab.dir, 'wake'))).toBe(false)
    expect(lab.run('FileChanged')).toMatchObject(silent)
  })

  test("a change of another program's file does nothing, even with mail for the next prompt", () => {
    lab.put('mail', JSON.stringify(mail))
    expect(lab.run('FileChanged', { input: '' })).toMatchObject(silent)
    expect(lab.spooled()).toEqual([])
    expect(existsSync(join(lab.dir, 'mail'))).toBe(true)
  })

  test('with the script broken it is silent, mail or not', () => {
    lab.put('wake', mail)
    for (const text of ['exit 2\n', 'exit 1\n', '. /nowhere/gone\n', 'if\n', '']) {
      writeFileSync(join(lab.home, 'hooks', 'claude-code.sh'), text)
      expect(lab.run('FileChanged')).toMatchObject(silent)
    }
    rmSync(join(lab.home, 'hooks'), { recursive: true })
    expect(lab.run('FileChanged')).toMatchObject(silent)
  })

  test('one of many takers wakes the session', async () => {
    lab.put('wake', mail)
    const [line] = lab.lines('FileChanged')
    const takers = await Promise.all(Array.from({ length: 12 }, () => lab.start(line!, 'stderr').ended))
    expect(takers.filter(({ code, text }) => code !== 0 || text !== '')).toEqual([{ code: 2, text: mail }])
  })
})

test('FileChanged - the client does not wait for it', () => {
  expect(settingsHooks('/home/mesh').FileChanged).toMatchObject([{ asyncRewake: true }])
})
