/** Checks that the mesh home can be used at all: a directory of its own user, there or to be made, that may be written. */
import { accessSync, constants, existsSync, lstatSync, realpathSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { type Finding, fault, word } from '../finding.ts'
import type { Setup } from '../setup.ts'

/** The fault that makes every other look at the mesh home pointless; null when there is none. */
export function faultOfHome({ env, home: { root } }: Setup): Finding | null {
  const stat = look(root)
  if (stat instanceof Error || stat === null) return faultOfParent(root, env.HOME)
  const wrong = notOwnDir(stat)
  if (wrong) return fault('home.path', `${root} ${wrong}: mesh refuses it`, elsewhere(root, stat))
  // What the owner may not write for want of mode bits is the permissions' matter: that can be mended.
  const why = stat.mode & 0o200 ? refusal(root) : null
  return why ? fault('home.path', `${root} cannot be written: ${why}`, another(env.HOME, root)) : null
}

export function notOwnDir(stat: Stats): string | null {
  if (stat.isSymbolicLink()) return 'is a symbolic link'
  if (!stat.isDirectory()) return 'is not a directory'
  return stat.uid === process.getuid?.() ? null : 'belongs to another user'
}

/** It is not there yet: whether it can be made is its nearest ancestor's matter. */
function faultOfParent(root: string, userHome: string | undefined): Finding | null {
  let parent = dirname(root)
  while (look(parent) === null) parent = dirname(parent)
  const why = existsSync(parent) && !isDirectory(parent) ? 'is not a directory' : refusal(parent)
  if (why === null) return null
  const isUsers = userHome !== undefined && `${parent}/`.startsWith(`${userHome}/`) && why.includes('another user')
  const fix = isUsers ? `sudo chown "$(id -un)" ${word(parent)}` : another(userHome, parent)
  return fault('home.path', `${root} cannot be made: ${parent} ${why}`, fix)
}

/** Null: not there. An error: it cannot be seen, since what is above it is no directory or may not be entered. */
function look(path: string): Stats | Error | null {
  try {
    return lstatSync(path)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : (error as Error)
  }
}

function isDirectory(path: string): boolean {
  const real = look(realpathSync(path))
  return real !== null && !(real instanceof Error) && real.isDirectory()
}

/** Says why nothing can be made in a directory; null when it can. */
function refusal(dir: string): string | null {
  try {
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
    return null
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EROFS') return 'is on a read-only file system'
    const stat = look(dir)
    if (stat === null || stat instanceof Error) return `cannot be entered (${code})`
    return stat.uid === process.getuid?.()
      ? `is shut to you (${code})`
      : 'belongs to another user, and you may not write it'
  }
}

function elsewhere(root: string, stat: Stats): string {
  const target = stat.isSymbolicLink() && existsSync(root) ? realpathSync(root) : `${root}-2`
  return `export MESH_HOME=${word(target)}`
}

/** A mesh home where one can be made: the user's own directory, unless the trouble is there. */
export function another(userHome: string | undefined, trouble: string): string {
  if (userHome === undefined || `${trouble}/`.startsWith(`${userHome}/`) || refusal(userHome) !== null)
    return `export MESH_HOME="$(mktemp -d)"`
  return 'export MESH_HOME="$HOME/.mesh"'
}
