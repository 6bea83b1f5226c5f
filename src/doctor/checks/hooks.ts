/** Claude Code's hooks: the entries in its settings, the script they name, and what that script starts. */
import { spawn } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { refuseHidden, sessionTarget } from '../../client/find.ts'
import { sidecarPath } from '../../client/spawn.ts'
import { version } from '../../client/version.ts'
import { MeshError } from '../../errors.ts'
import {
  hasAny,
  type Inspection,
  type InstalledPlace,
  inspectClaudeCode,
  installScript,
  refreshClaudeCode,
  uninstallOf,
} from '../../harness/setup.ts'
import { readJson } from '../../host/files.ts'
import type { Env } from '../../host/home.ts'
import { type Finding, fault, good, offer, word } from '../finding.ts'
import type { Setup } from '../setup.ts'

const PACKAGE_BYTES = 1024 * 1024
const CLIENT_MS = 5000
const packageDir = dirname(dirname(sidecarPath))

export async function lookAtHooks(setup: Setup): Promise<Finding[]> {
  const seen = inspect(setup)
  const client = await lookAtClient(setup.env)
  const beside = [...others(seen), ...client]
  if (!isInstalled(seen) || isElsewhereAlone(seen)) return [offer('hooks', notHere(seen)), ...beside]
  const findings = [
    ...unreached(setup, seen),
    ...unjoined(setup, seen),
    ...seen.places.flatMap((place) => settings(setup, seen, place)),
    ...plugin(setup, seen),
    ...script(setup, seen),
    ...switchedOff(seen),
  ]
  const where = seen.places.filter(hasAny).map(({ path }) => path)
  if (seen.plugin !== 'none') where.push('the plugin')
  return [...(findings.length > 0 ? findings : [good('hooks', `of this version, in ${where.join(', ')}`)]), ...beside]
}

function isElsewhereAlone({ places, plugin, elsewhere }: Inspection): boolean {
  return elsewhere.length > 0 && plugin === 'none' && !places.some(hasAny)
}

function notHere({ userPath, elsewhere }: Inspection): string {
  const also = elsewhere.length > 0 ? ` (but in ${elsewhere.join(', ')}, for sessions of that configuration)` : ''
  return `not installed in ${userPath}${also}: mesh install lets Claude Code sessions join`
}

/** Each is somebody's wish: none is a fault. */
function others(seen: Inspection): Finding[] {
  const { elsewhere, strangers } = seen
  const findings: Finding[] = []
  if (elsewhere.length > 0 && !isElsewhereAlone(seen))
    findings.push(good('hooks.elsewhere', `also in ${elsewhere.join(', ')}, for sessions of that configuration`))
  for (const { path, what } of strangers)
    findings.push(good('hooks.others', `another product is in ${path}: ${what}; it is none of mesh's`))
  return findings
}

/** The session that this command runs in: it reads its hooks once, at its start. */
function unjoined({ env, home }: Setup, { isReached }: Inspection): Finding[] {
  const refused = MeshError.orValue(() => refuseHidden(env, home))
  if (!isReached || !(refused instanceof MeshError) || sessionTarget(env, home)) return []
  const cause = 'it began before mesh install, or its start failed'
  return [fault('hooks.session', `${refused.message}: ${cause}`, 'claude --continue   # after ending that session')]
}

/** Hooks of other folders alone: sessions that start here do not join, without a word. */
function unreached({ top }: Setup, { isReached, places, userPath }: Inspection): Finding[] {
  const where = places.filter(hasAny).map(({ path }) => path)
  if (isReached || where.length === 0) return []
  const cause = `the hooks in ${where.join(', ')} do not reach sessions in ${top}, nor does ${userPath} have any`
  return [fault('hooks.reach', `${cause}; for all folders: mesh install`, `cd ${word(top)} && mesh install --project`)]
}

export function inspect({ env, home, top }: Setup): Inspection {
  return inspectClaudeCode({ env, home, top, packageDir })
}

export function isInstalled({ places, plugin, script }: Inspection): boolean {
  return plugin !== 'none' || script !== 'missing' || places.some(hasAny)
}

function settings(setup: Setup, seen: Inspection, place: InstalledPlace): Finding[] {
  const { path, repository, unreadable, hooks, otherHome } = place
  const command = repository === null ? 'mesh install' : `cd ${word(repository)} && mesh install --project`
  const refresh = () => refreshed(setup)
  if (unreadable !== null) {
    const cause = `${unreadable}; Claude Code does not read it either`
    return [fault('hooks.settings', cause, `"\${EDITOR:-vi}" ${word(path)} && ${command}`)]
  }
  if (otherHome !== null) {
    const cause = `the hooks in ${path} are of another mesh home, ${otherHome}`
    const replace = `${uninstallOf(otherHome)} && ${command}`
    if (existsSync(otherHome)) return [fault('hooks.home', `${cause}: sessions join that one`, replace)]
    return [fault('hooks.home', `${cause}, which is gone`, command, refresh)]
  }
  const missing = Object.keys(hooks).filter((event) => hooks[event] === 'missing')
  const other = Object.keys(hooks).filter((event) => hooks[event] === 'other')
  if (missing.length === Object.keys(hooks).length) return abandoned(seen, path)
  const findings: Finding[] = []
  if (missing.length > 0)
    findings.push(fault('hooks.entries', `${path} has no hook of mesh for ${missing.join(', ')}`, command, refresh))
  if (other.length > 0)
    findings.push(
      fault('hooks.entries', `${path} has hooks of another version for ${other.join(', ')}`, command, refresh),
    )
  return findings
}

/** A script that nothing names: a person took the hooks out by hand, and only they know why. */
function abandoned(seen: Inspection, path: string): Finding[] {
  if (seen.plugin !== 'none' || seen.script === 'missing' || seen.places.some(hasAny)) return []
  return [
    fault('hooks.entries', `${path} has no hook of mesh any more; to leave for good: mesh uninstall`, 'mesh install'),
  ]
}

function plugin(setup: Setup, seen: Inspection): Finding[] {
  if (seen.plugin !== 'other' || seen.places.some(({ otherHome }) => otherHome !== null)) return []
  const cause = 'the plugin is enabled, but its files are not those of this version'
  return [fault('hooks.plugin', cause, 'mesh install --plugin', () => refreshed(setup))]
}

function script(setup: Setup, seen: Inspection): Finding[] {
  const { scriptPath: path, starts } = seen
  const names = (place: InstalledPlace) => place.unreadable === null && place.otherHome === null && hasAny(place)
  const isNamed = seen.plugin !== 'none' || seen.places.some(names)
  const remake = isNamed ? () => remakeScript(setup) : undefined
  const bad = (check: string, cause: string) => fault(check, cause, 'mesh install --script', remake)
  if (seen.script === 'missing') return isNamed ? [bad('hooks.script', `${path} is missing: the hooks do nothing`)] : []
  if (seen.script === 'other') return [bad('hooks.script', `${path} is not the one of this version`)]
  const { node, sidecar } = starts!
  const findings: Finding[] = []
  if (!isExecutable(node)) findings.push(bad('hooks.node', `${path} starts ${node}, which is not there`))
  if (!existsSync(sidecar)) findings.push(bad('hooks.sidecar', `${path} starts ${sidecar}, which is not there`))
  else findings.push(...otherVersion(path, sidecar, bad))
  return findings
}

/** Another clone or package: its version stands beside its build. */
function otherVersion(path: string, sidecar: string, bad: (check: string, cause: string) => Finding): Finding[] {
  if (sidecar === sidecarPath) return []
  const manifest = readJson(join(dirname(dirname(sidecar)), 'package.json'), PACKAGE_BYTES) as { version?: unknown }
  const theirs = typeof manifest?.version === 'string' ? manifest.version : 'unknown'
  if (theirs === version) return []
  return [bad('hooks.version', `${path} starts mesh ${theirs} (${sidecar}), this command is ${version}`)]
}

function switchedOff({ switchedOff: found }: Inspection): Finding[] {
  return found.map(({ path, key }) =>
    fault('hooks.off', `${path} switches hooks off (${key}): sessions do not join`, `"\${EDITOR:-vi}" ${word(path)}`),
  )
}

export async function refreshed({ env, home }: Setup): Promise<string> {
  const changed = refreshClaudeCode({ env, home, sidecarPath, nodePath: process.execPath, packageDir })
  return `brought up to date: ${changed.join(', ') || 'nothing had to be'}`
}

/** Hooks in the settings or in a plugin name it: only it is made anew. */
async function remakeScript({ env, home }: Setup): Promise<string> {
  const { path } = installScript({ env, home, sidecarPath, nodePath: process.execPath })
  return `made ${path} anew, for this version`
}

/** Returns the version of the client on PATH; null without one. */
export async function clientVersion(env: Env): Promise<string | null> {
  const path = find('claude', env)
  return path ? versionIn(await ask(path, env)) : null
}

function versionIn(said: string): string | null {
  return /^\d+\.\d+\.\d+/.exec(said)?.[0] ?? null
}

/** Not having Claude Code is no fault: mesh has other users. */
async function lookAtClient(env: Env): Promise<Finding[]> {
  const path = find('claude', env)
  if (!path) return [good('version.claude', 'no claude on PATH')]
  const found = versionIn(await ask(path, env))
  if (found) return [good('version.claude', `Claude Code ${found}, ${path}`)]
  return [fault('version.claude', `${path} --version does not print a version`, 'claude doctor')]
}

function find(name: string, env: Env): string | undefined {
  const dirs = (env.PATH ?? '').split(delimiter).filter((dir) => isAbsolute(dir))
  return dirs.map((dir) => join(dir, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function ask(path: string, env: Env): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(path, ['--version'], { env: { PATH: env.PATH, HOME: env.HOME }, timeout: CLIENT_MS })
    let said = ''
    child.stdin.end()
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, 1000)
    })
    child.on('error', () => resolve(''))
    child.on('close', () => resolve(said))
  })
}
