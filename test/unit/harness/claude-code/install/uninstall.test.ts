/** `mesh uninstall` puts back what was there: to the byte if nobody else changed it, else all but ours. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type InstallOptions,
  installClaudeCode,
  permissionRules,
  refreshClaudeCode,
} from '../../../../../src/harness/claude-code/install/install.ts'
import { hashOf, removeFile, replaceFile } from '../../../../../src/harness/claude-code/install/settings-file.ts'
import { uninstallClaudeCode } from '../../../../../src/harness/claude-code/install/uninstall.ts'
import { meshHome } from '../../../../../src/host/home.ts'

let root: string
let settings: string
let env: { HOME: string; MESH_HOME: string; PATH: string }
const home = () => meshHome(env)
const install = (over: Partial<InstallOptions> = {}) =>
  installClaudeCode({ env, home: home(), sidecarPath: '/opt/mesh/sidecar.js', nodePath: '/usr/bin/node', ...over })
const uninstall = (cwd?: string) => uninstallClaudeCode({ env, home: home(), ...(cwd ? { cwd } : {}) })
const read = (path = settings) => JSON.parse(readFileSync(path, 'utf8'))
const write = (value: unknown, path = settings) => writeFileSync(path, JSON.stringify(value))

function prepare(): void {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-uninstall-')))
  env = { HOME: root, MESH_HOME: join(root, 'mesh'), PATH: '/nowhere' }
  mkdirSync(join(root, '.claude'))
  settings = join(root, '.claude', 'settings.json')
}
const cleanUp = () => rmSync(root, { recursive: true })
beforeEach(prepare)
afterEach(cleanUp)

/** As people and programs write it: any indentation, line end and final newline, and not always canonical. */
const odd = [
  '{ "model": "x",  "permissions": {"allow": ["Bash(ls:*)"],\n "deny": []} }',
  '{"a": 1.0, "b": 12345678901234567890, "a": 2, "é": "\\u00e9\\ud83d"}\n\n',
  '{"hooks": {}, "permissions": {"allow": []}}',
  '{\n  "hooks": {"Stop": []}\n}',
  '\n',
  '',
  '{}',
]

test.each(odd)('uninstall - to the byte, however it was written: %j', async (text) => {
  writeFileSync(settings, text)
  chmodSync(settings, 0o640)
  install()
  install({ allow: true })
  expect(read().permissions.allow).toEqual(expect.arrayContaining([...permissionRules]))
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'restored' }])
  expect(readFileSync(settings, 'utf8')).toBe(text)
  expect(statSync(settings).mode & 0o777).toBe(0o640)
  expect(readdirSync(env.MESH_HOME)).toEqual(['run'])
})

test('uninstall - what install had made is removed, with its folder', async () => {
  rmSync(join(root, '.claude'), { recursive: true })
  install()
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'removed' }])
  expect(existsSync(join(root, '.claude'))).toBe(false)
})

test('uninstall - a folder that somebody uses stays', async () => {
  rmSync(join(root, '.claude'), { recursive: true })
  install()
  writeFileSync(join(root, '.claude', 'notes'), '')
  await uninstall()
  expect(readdirSync(join(root, '.claude'))).toEqual(['notes'])
})

test('uninstall - links stay links, whether their file was there or not', async () => {
  const real = join(root, 'dotfiles', 'settings.json')
  symlinkSync(real, settings)
  install()
  await uninstall()
  expect([lstatSync(settings).isSymbolicLink(), existsSync(join(root, 'dotfiles'))]).toEqual([true, false])
  mkdirSync(join(root, 'dotfiles'))
  writeFileSync(real, odd[0]!)
  install()
  await uninstall()
  expect([lstatSync(settings).isSymbolicLink(), readFileSync(real, 'utf8')]).toEqual([true, odd[0]])
})

test('uninstall - the file that others changed keeps their changes, also when it was installed again', async () => {
  write({ model: 'x' })
  install({ allow: true })
  write({ ...read(), theme: 'dark' })
  install({ sidecarPath: '/new/sidecar.js' })
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'edited' }])
  expect(read()).toEqual({ model: 'x', theme: 'dark' })
})

test('uninstall - a rule that the user had stays, and so does one put in afterwards', async () => {
  write({ permissions: { allow: ['Bash(mesh ps:*)', 'Read'] } })
  install({ allow: true })
  const edited = read()
  edited.permissions.allow.push('Bash(mesh run:*)')
  write(edited)
  await uninstall()
  expect(read()).toEqual({ permissions: { allow: ['Bash(mesh ps:*)', 'Read', 'Bash(mesh run:*)'] } })
})

test('uninstall - living sessions may go on with another form of the hooks', async () => {
  install()
  const dir = join(home().run, 'cc-7')
  mkdirSync(dir)
  for (const name of ['form', 'form-123', 'sock']) writeFileSync(join(dir, name), 'plugin')
  await uninstall()
  expect(readdirSync(dir)).toEqual(['sock'])
})

test('install - no rule unasked', () => {
  expect(install()).toMatchObject({ rulesAdded: [] })
  expect(read().permissions).toBeUndefined()
})

test('uninstall - without its records only the hooks are known', async () => {
  write({ model: 'x' })
  install()
  rmSync(env.MESH_HOME, { recursive: true })
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'edited' }])
  expect(read()).toEqual({ model: 'x' })
})

test('uninstall - damaged records count as none', async () => {
  write({ model: 'x' })
  install()
  for (const name of readdirSync(join(env.MESH_HOME, 'installs')))
    writeFileSync(join(env.MESH_HOME, 'installs', name), '{"path": 7')
  await uninstall()
  expect(read()).toEqual({ model: 'x' })
})

test('uninstall - what cannot be read is left, the rest is done, and it is told', async () => {
  const { project, local } = repository()
  install({ project })
  install()
  writeFileSync(settings, '{"half": ')
  const { places } = await uninstall()
  expect(places).toEqual([
    { path: settings, did: 'failed', error: expect.objectContaining({ code: 'bad_request' }) },
    { path: local, did: 'removed' },
  ])
  expect(readFileSync(settings, 'utf8')).toBe('{"half": ')
})

test('a file that somebody wrote meanwhile is not overwritten, and not removed', () => {
  write({ model: 'x' })
  const from = hashOf(readFileSync(settings))
  write({ model: 'y' })
  for (const act of [() => replaceFile(settings, '{}', from), () => removeFile(settings, from)])
    expect(act).toThrow(expect.objectContaining({ code: 'conflict' }))
  expect(read()).toEqual({ model: 'y' })
})

test('records are private and hold no more than they must', () => {
  write({ env: { TOKEN: 'secret' } })
  install()
  const dir = join(env.MESH_HOME, 'installs')
  const [name] = readdirSync(dir)
  expect([statSync(dir).mode & 0o777, statSync(join(dir, name!)).mode & 0o777]).toEqual([0o700, 0o600])
})

test('install - a dry run writes nothing', () => {
  const { files, merged } = install({ dryRun: true, allow: true })
  expect(files.map(({ path }) => path)).toEqual([join(home().hooks, 'claude-code.sh'), settings])
  expect(JSON.parse(files[1]!.text)).toEqual(merged)
  expect([existsSync(env.MESH_HOME), existsSync(settings)]).toEqual([false, false])
})

// --- one repository

function repository() {
  const project = join(root, 'shop')
  mkdirSync(join(project, '.git', 'objects'), { recursive: true })
  writeFileSync(join(project, '.git', 'HEAD'), 'ref: refs/heads/main\n')
  mkdirSync(join(project, 'src'))
  return { project, local: join(project, '.claude', 'settings.local.json') }
}

test('install --project - the settings of one person in one repository, from anywhere in it', async () => {
  const { project, local } = repository()
  expect(install({ project: join(project, 'src') }).settingsPath).toBe(local)
  expect(read(local).hooks.SessionStart).toHaveLength(1)
  expect(existsSync(settings)).toBe(false)
  expect((await uninstall()).places).toEqual([{ path: local, did: 'removed' }])
  expect(readdirSync(project).toSorted()).toEqual(['.git', 'src'])
})

test('uninstall - without its records, in the repository', async () => {
  const { project, local } = repository()
  install({ project })
  rmSync(env.MESH_HOME, { recursive: true })
  expect((await uninstall(join(project, 'src'))).places).toEqual([{ path: local, did: 'edited' }])
})

test('install --project - not outside of a repository', () => {
  expect(() => install({ project: root })).toThrow(expect.objectContaining({ code: 'bad_request' }))
})

test.each(['.claude', '.claude/settings.local.json'])('install --project - does not follow a link: %s', (link) => {
  const { project } = repository()
  const outside = join(root, 'outside')
  mkdirSync(outside)
  if (link.includes('/')) mkdirSync(join(project, '.claude'))
  symlinkSync(link.includes('/') ? join(outside, 'x.json') : outside, join(project, link))
  expect(() => install({ project })).toThrow(expect.objectContaining({ code: 'denied' }))
  expect(readdirSync(outside)).toEqual([])
})

test('uninstall - a repository whose settings became a link to elsewhere is left', async () => {
  const { project, local } = repository()
  install({ project })
  write(read(local), settings)
  const text = readFileSync(settings, 'utf8')
  rmSync(local)
  symlinkSync(settings, local)
  env.HOME = join(root, 'elsewhere')
  expect((await uninstall()).places).toEqual([{ path: local, did: 'failed', error: expect.anything() }])
  expect(readFileSync(settings, 'utf8')).toBe(text)
})

// --- after an upgrade

test('refresh - what an older version left is brought up to date; nothing comes where nothing was', async () => {
  const { project, local } = repository()
  const packageDir = fileURLToPath(new URL('../../../../..', import.meta.url))
  const refresh = () =>
    refreshClaudeCode({ env, home: home(), sidecarPath: '/new/sidecar.js', nodePath: '/usr/bin/node', packageDir })
  expect(refresh()).toEqual([])
  expect([existsSync(env.MESH_HOME), existsSync(settings)]).toEqual([false, false])
  install({ project })
  const old = readFileSync(local, 'utf8').replaceAll('exit 0 # mesh', 'true; exit 0 # mesh')
  writeFileSync(local, old)
  expect(refresh().toSorted()).toEqual([join(home().hooks, 'claude-code.sh'), local].toSorted())
  expect(readFileSync(local, 'utf8')).not.toContain('true; exit 0')
  expect(existsSync(settings)).toBe(false)
  expect(refresh()).toEqual([])
})

// --- properties

/** Each run is a few files that are fsynced. */
const CEILING_MS = 60_000

const command = fc.record({ type: fc.constant('command'), command: fc.string() })
const entry = fc.record({ matcher: fc.string(), hooks: fc.array(command) }, { requiredKeys: ['hooks'] })
const events = fc.constantFrom('SessionStart', 'Stop', 'PreToolUse', 'PostToolBatch', 'Other', '__proto__')
const someSettings = fc.oneof(
  fc.record(
    {
      hooks: fc.dictionary(events, fc.array(entry, { maxLength: 3 })),
      permissions: fc.record(
        { allow: fc.array(fc.oneof(fc.string(), fc.constantFrom(...permissionRules))), deny: fc.array(fc.string()) },
        { requiredKeys: [] },
      ),
      enabledPlugins: fc.dictionary(fc.string(), fc.boolean()),
      env: fc.dictionary(fc.string(), fc.string()),
      more: fc.jsonValue(),
    },
    { requiredKeys: [] },
  ),
)
const indents = fc.constantFrom(undefined, 2, 4, '\t')
const layout = fc.record({ indent: indents, crlf: fc.boolean(), end: fc.constantFrom('', '\n', '\n\n', '  ') })
const fileText = fc.tuple(someSettings, layout).map(([value, { indent, crlf, end }]) => {
  const text = JSON.stringify(value, null, indent) + end
  return crlf ? text.replaceAll('\n', '\r\n') : text
})
const steps = fc.array(
  fc.record({ allow: fc.boolean(), sidecarPath: fc.constantFrom('/a/sidecar.js', '/b/sidecar.js') }),
  {
    minLength: 1,
    maxLength: 3,
  },
)

async function inFreshHome(body: () => Promise<void>): Promise<void> {
  cleanUp()
  prepare()
  await body()
}

test('uninstall after any installs is the identity on bytes', { timeout: CEILING_MS }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.option(fileText), steps, async (text, installs) => {
      await inFreshHome(async () => {
        if (text !== null) writeFileSync(settings, text)
        for (const step of installs) install(step)
        await uninstall()
        expect(existsSync(settings) ? readFileSync(settings, 'utf8') : null).toBe(text)
        expect((await uninstall()).changed).toBe(false)
      })
    }),
    { numRuns: 40 },
  )
})

/** Somebody else's change of the settings: it knows nothing of ours. */
const edit = fc.oneof(
  fc.record({ set: fc.constantFrom('model', 'theme'), value: fc.jsonValue() }),
  fc.record({ event: events.filter((event) => event !== '__proto__'), entry }),
  fc.record({ rule: fc.string().filter((rule) => !permissionRules.includes(rule)) }),
)
type Edit = { set: string; value: unknown } | { event: string; entry: object } | { rule: string }

// biome-ignore lint/suspicious/noExplicitAny: somebody's JSON
function apply(settings: any, edits: readonly Edit[]): any {
  for (const one of edits) {
    if ('set' in one) settings[one.set] = one.value
    else if ('event' in one) {
      settings.hooks ??= {}
      settings.hooks[one.event] = [...(settings.hooks[one.event] ?? []), one.entry]
    } else {
      settings.permissions ??= {}
      settings.permissions.allow = [...(settings.permissions.allow ?? []), one.rule]
    }
  }
  return settings
}

test("uninstall keeps others' changes, whenever they were made, and twice is once", {
  timeout: CEILING_MS,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      someSettings,
      fc.array(fc.tuple(fc.array(edit, { maxLength: 3 }), fc.boolean()), { maxLength: 3 }),
      async (value, rounds) => {
        await inFreshHome(async () => {
          write(value)
          install({ allow: true })
          for (const [edits, again] of rounds) {
            write(apply(read(), edits))
            if (again) install({ sidecarPath: '/b/sidecar.js' })
          }
          await uninstall()
          const all = rounds.flatMap(([edits]) => edits)
          expect(read()).toEqual(apply(JSON.parse(JSON.stringify(value)), all))
          const once = readFileSync(settings, 'utf8')
          await uninstall()
          expect(readFileSync(settings, 'utf8')).toBe(once)
        })
      },
    ),
    { numRuns: 40 },
  )
})
