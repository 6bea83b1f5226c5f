/** The present source built as another version, in a folder of its own: what an upgrade meets. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface OtherBuild {
  version: string
  /** The version of the protocol; the present one if left out. */
  api?: number
  /** Fields of a future version in everything that sidecars write. */
  future?: boolean
  /** Its sidecar waits for a child as for any session, as 0.1.0 does. */
  isBlindToChildren?: boolean
  /** The folder that it gets its own in. */
  within?: string
}

/** The folder of the package; its command is `bin/mesh.js`. The caller removes it. */
export function buildOther({ version, api, future, isBlindToChildren, within = tmpdir() }: OtherBuild): string {
  const dir = realpathSync(mkdtempSync(join(within, 'mesh-build-')))
  for (const name of ['src', 'scripts', 'bin', 'plugin', '.claude-plugin', 'package.json'])
    cpSync(join(root, name), join(dir, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
  edit(join(dir, 'package.json'), /"version": "[^"]+"/, `"version": "${version}"`)
  if (api !== undefined) edit(join(dir, 'src/api/version.ts'), /apiVersion = \d+/, `apiVersion = ${api}`)
  if (future) addFields(dir)
  if (isBlindToChildren) forgetChildren(dir)
  execFileSync(process.execPath, ['scripts/build.js'], { cwd: dir, stdio: 'pipe' })
  return dir
}

const FUTURE = "future: { why: ['unknown'] }"

/** Where a sidecar turns something into bytes for others or for its successor. */
function addFields(dir: string): void {
  const src = (name: string) => join(dir, 'src', name)
  edit(src('daemon/disk/session-dir.ts'), 'JSON.stringify(record', `JSON.stringify({ ...record, ${FUTURE} }`)
  edit(src('host/journal.ts'), 'JSON.stringify(step)', `JSON.stringify({ ...step, ${FUTURE} })`)
  edit(src('wire/codec.ts'), 'const sig = sign(', `fields = { ...fields, ${FUTURE} }; const sig = sign(`)
  edit(
    src('wire/codec.ts'),
    'Buffer.from(JSON.stringify(value))',
    `Buffer.from(JSON.stringify({ ...value, ${FUTURE} }))`,
  )
  edit(src('harness/claude-code/conversation.ts'), 'JSON.stringify(record', `JSON.stringify({ ...record, ${FUTURE} }`)
}

function forgetChildren(dir: string): void {
  const handlers = join(dir, 'src/daemon/delivery/handlers.ts')
  edit(handlers, 'await waitForChildren(session, wait, call)', 'null as ShownEvent[] | null')
  edit(handlers, 'await waitForSessions(session, wait), events: [] }', 'await waitForSessions(session, wait) }')
}

function edit(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, 'utf8')
  const changed = text.replace(from, () => to)
  if (changed === text) throw new Error(`${path} has no ${from}`)
  writeFileSync(path, changed)
}
