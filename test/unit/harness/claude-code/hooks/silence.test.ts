/** Whatever is missing or broken, a hook never disturbs the session: exit code 2 would block the user's prompt. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { context, describeEachShell, payload } from './lab.ts'

const all = [
  'UserPromptSubmit',
  'PostToolBatch',
  'Stop',
  'StopFailure',
  'PermissionRequest',
  'PreCompact',
  'CwdChanged',
  'SessionEnd',
  'SessionStart',
  'FileChanged',
]

describeEachShell('hooks never disturb the session', (lab) => {
  describe.each(all)('%s', (event) => {
    const expectSilence = (options: { env?: Record<string, string>; before?: string } = {}) => {
      for (const line of lab.lines(event)) {
        const { stdout, ...rest } = lab.run(event, { ...options, line })
        expect(rest).toMatchObject({ status: 0, stderr: '' })
        // The user learns at the start that the session did not join.
        expect(event === 'SessionStart' ? stdout.replace(/^\{"systemMessage":"mesh: [^"]*"\}\n$/, '') : stdout).toBe('')
      }
    }

    test('with the script gone', () => {
      rmSync(join(lab.home, 'hooks'), { recursive: true })
      expectSilence()
    })
    test('with the mesh home gone', () => {
      rmSync(lab.home, { recursive: true })
      expectSilence()
      expect(existsSync(lab.home)).toBe(false)
    })
    test('with the folder of sessions gone', () => {
      rmSync(join(lab.home, 'run'), { recursive: true })
      expectSilence()
      expect(existsSync(join(lab.home, 'run'))).toBe(false)
    })
    test('with a file in place of the folder of sessions', () => {
      rmSync(join(lab.home, 'run'), { recursive: true })
      writeFileSync(join(lab.home, 'run'), '')
      expectSilence()
    })
    test('with another mesh home that is not there', () => {
      expectSilence({ env: { MESH_HOME: join(lab.root, 'nowhere') } })
      expect(lab.spooled()).toEqual([])
    })
    test('with no variable set', () => {
      expectSilence({ before: 'unset CLAUDE_PID MESH_HOME HOME; ' })
      expect(lab.spooled()).toEqual([])
      expect(readdirSync(lab.root).toSorted()).toEqual(['bin', 'home'])
    })
    test('with nonsense for a process id', () => {
      expectSilence({ env: { CLAUDE_PID: '../../x' } })
      expect(lab.spooled()).toEqual([])
    })
    test('with no space left for files', () => {
      lab.put('mail', '"words"')
      lab.put('loop', String(process.pid))
      const { status, stderr } = lab.run(event, { before: 'ulimit -f 0; ' })
      expect([status, stderr]).toEqual([0, ''])
      expect(lab.spooled().filter((name) => name.endsWith('.t'))).toEqual([])
    })
  })

  test.for(['UserPromptSubmit', 'FileChanged'])(
    '%s: with no process left to fork it blocks nothing',
    (event, { skip }) => {
      if (lab.name.startsWith('bash')) skip('it tries again for half a minute, and never exits 2')
      const [line] = lab.lines(event)
      lab.put('mail', '"words"')
      lab.put('wake', 'words')
      // zsh runs no trap then: an error, which the client does not take for a refusal.
      const status = lab.name.startsWith('zsh') ? 1 : 0
      expect(lab.runWithoutForks(line!)).toMatchObject({ status, stdout: '' })
    },
  )

  test('options that bash takes from the environment change nothing', () => {
    for (const SHELLOPTS of ['nounset', 'errexit:nounset', 'noclobber:noglob', 'errexit:verbose:xtrace']) {
      lab.put('mail', '"words"')
      const { status, stdout } = lab.run('Stop', { env: { SHELLOPTS } })
      expect([SHELLOPTS, status, stdout]).toEqual([SHELLOPTS, 0, context('Stop', 'words')])
      expect(lab.run('UserPromptSubmit', { env: { SHELLOPTS } })).toMatchObject({ status: 0, stdout: '' })
      expect(lab.events()).toEqual(['MailTaken', 'UserPromptSubmit'])
      for (const name of lab.spooled()) rmSync(join(lab.dir, 'spool', name))
    }
  })

  test('a full disk loses the event and nothing else', ({ skip }) => {
    const spool = join(lab.dir, 'spool')
    const script = `mount -t tmpfs -o size=64k tmpfs "$0" && head -c 65536 /dev/zero >"$0/fill"; H=1; ${lab.lines('Stop')[0]}`
    const mounted = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs tmpfs "$0"', spool])
    if (mounted.status !== 0) skip('no mount namespaces here')
    const line = script.replace(/; exit 0 # mesh$/, '; echo "exit $?"; ls "$0"; exit 0 # mesh')
    const options = { input: payload('Stop'), encoding: 'utf8', env: lab.env } as const
    expect(spawnSync('unshare', ['-m', lab.sh, ...lab.args(line, spool)], options)).toMatchObject({
      status: 0,
      stdout: 'exit 0\nfill\n',
    })
  })
})
