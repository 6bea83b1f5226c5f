/** The place itself: Node, the mesh home and its path, keys, the environment, the clock of the files. */
import { createPrivateKey } from 'node:crypto'
import { existsSync, lstatSync, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { version } from '../../client/version.ts'
import { MeshError } from '../../errors.ts'
import { readText } from '../../host/files.ts'
import { type Env, sessionDir, socketPath } from '../../host/home.ts'
import { resolvePlace } from '../../host/repository/project.ts'
import { isName } from '../../wire/names.ts'
import { isProject } from '../../wire/subjects.ts'
import { type Finding, fault, good, word } from '../finding.ts'
import type { Setup } from '../setup.ts'
import { faultOfHome, notOwnDir } from './home.ts'

const MIN_NODE = 20
const KEY_BYTES = 4096
/** The longest key of a session. */
const LONGEST_KEY = `op-${'0'.repeat(16)}`
/** A file system may round its times; a minute is more than any does. */
const FUTURE_MS = 60_000

export async function lookAtPlace(setup: Setup): Promise<Finding[]> {
  if (faultOfHome(setup)) return [...programs(), ...environment(setup), ...home(setup)]
  return [...programs(), ...environment(setup), ...home(setup), ...sockets(setup), ...keys(setup), ...fileClock(setup)]
}

function programs(): Finding[] {
  const node = Number.parseInt(process.versions.node, 10)
  const detail = `mesh ${version} on Node ${process.versions.node}`
  return [
    node >= MIN_NODE
      ? good('version.node', detail)
      : fault('version.node', `${detail}: mesh needs ${MIN_NODE} or later`, `nvm install ${MIN_NODE}`),
  ]
}

function environment(setup: Setup): Finding[] {
  const { env, options } = setup
  try {
    options.operator()
    return [good('environment.project', projectLine(setup))]
  } catch (thrown) {
    const error = MeshError.from(thrown)
    const variable = culpritOf(env)
    if (variable) return [fault('environment.variable', error.message, `unset ${variable}`)]
    const command =
      error.code === 'denied' ? 'mesh project allow' : `"\${EDITOR:-vi}" "$(git rev-parse --show-toplevel)"/.mesh.json`
    return [fault('environment.project', error.message, command)]
  }
}

function projectLine({ env, options, home }: Setup): string {
  const { project, alike } = resolvePlace(env, options.cwd, home)
  const other =
    alike && `; what looks like the same repository is in ${alike} too: {"project": "${alike}"} in .mesh.json joins it`
  return `the project and the operator of this directory are valid: ${project}${other ?? ''}`
}

/** Returns the environment variable whose value is not valid. */
function culpritOf({ MESH_PROJECT, MESH_NAME }: Env): string | null {
  if (MESH_PROJECT && !isProject(MESH_PROJECT)) return 'MESH_PROJECT'
  return MESH_NAME && !isName(MESH_NAME) ? 'MESH_NAME' : null
}

function home(setup: Setup): Finding[] {
  const { env } = setup
  const { root } = setup.home
  const findings: Finding[] = []
  if (env.MESH_HOME && !isAbsolute(env.MESH_HOME)) {
    const cause = `MESH_HOME is ${env.MESH_HOME}, which is another directory in every working directory`
    findings.push(fault('home.path', `${cause}; hooks ignore it`, `export MESH_HOME=${word(root)}`))
  }
  const wrong = faultOfHome(setup)
  if (wrong) return [...findings, wrong]
  if (!existsSync(root))
    return [...findings, good('home.path', `${root} is not there yet: nothing was started on this mesh home`)]
  return findings.length > 0 ? findings : [good('home.path', root)]
}

/** A socket's path is short: below a long mesh home, sockets are in a directory that any user could have made. */
function sockets({ home }: Setup): Finding[] {
  const dir = sessionDir(home, LONGEST_KEY)
  const path = socketPath(dir)
  if (path.startsWith(dir)) return []
  const parent = path.slice(0, path.lastIndexOf('/'))
  return [socketParent(parent)]
}

/** The directory of the sockets whose own path is too long. */
export function socketParent(parent: string): Finding {
  const stat = lstatSync(parent, { throwIfNoEntry: false })
  const wrong = stat && notOwnDir(stat)
  const note = `the mesh home's path is too long for sockets: they are in ${parent}`
  if (wrong) return fault('home.sockets', `${note}, which ${wrong}`, 'export MESH_HOME="$HOME/.mesh"')
  return good('home.sockets', note)
}

function keys({ home }: Setup): Finding[] {
  const path = home.memberKey
  const pem = readText(path, KEY_BYTES)
  if (pem === null) {
    if (!existsSync(home.projects)) return []
    const cause = `${path} is gone: with a new key, what was signed before is not believed`
    return [fault('home.key', cause, restore(path))]
  }
  try {
    createPrivateKey(pem)
    return [good('home.key', 'the member key is there')]
  } catch {
    return [fault('home.key', `${path} is not a private key: no sidecar starts`, restore(path))]
  }
}

function restore(path: string): string {
  return `cp BACKUP/member.key ${word(path)}`
}

/** Files that were written later than now: the clock was set back. */
function fileClock({ home }: Setup): Finding[] {
  const paths = ['member.key', 'engine/engine.json', 'engine/log', 'engine/server.conf', 'run'].map((name) =>
    join(home.root, name),
  )
  const stamps = paths.map((path) => ({ path, at: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
  const late = stamps.find(({ at }) => at > Date.now() + FUTURE_MS)
  if (!late) return [good('clock.files', 'no file of mesh is from the future')]
  const cause = `${late.path} was written at ${new Date(late.at).toISOString()}, which is yet to come: the clock was set back`
  return [fault('clock.files', cause, `touch ${word(late.path)}`)]
}
