/** The grammar of paths that can be claimed in a repository. Pure. */
import { MeshError } from '../errors.ts'
import { limits } from './limits.ts'
import { quote } from './names.ts'

const WILD = /[*?]/
/** Line ends, other control characters, and what turns the direction of writing. */
const UNSHOWN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/
/** A shell's alternatives that were not expanded. */
const BRACES = /\{[^{}/]*,[^{}/]*\}/

/** `*` and `?` are the only wildcards: `app/[id]/(group)` is a folder of many frameworks. */
export function isGlob(path: string): boolean {
  return WILD.test(path)
}

/** Returns true if a path can stand in a record and in a line. */
export function isPath(path: string): boolean {
  return path !== '' && path.length <= limits.claimPath && path.isWellFormed() && !UNSHOWN.test(path)
}

/** Throws `bad_request` and `too_large` for what no claim can be on, whatever the repository. */
export function checkPath(path: string): void {
  if (path.length > limits.claimPath)
    throw new MeshError('too_large', `a path of ${path.length} characters, the limit is ${limits.claimPath}`, {
      hint: 'claim a folder above it',
    })
  if (path === '') throw refused('an empty path', 'the whole repository is "**"')
  if (!isPath(path)) throw refused(`${quote(path)} has control or broken characters`, 'rename it, or claim its folder')
  if (path.includes('\\')) throw refused(`${quote(path)} has a backslash`, 'folders are separated by /')
}

/** Throws `bad_request` for alternatives in braces. What is there under that very name may be claimed. */
export function checkBraces(path: string): void {
  if (BRACES.test(path)) throw refused(`${quote(path)}: braces are no wildcards`, 'name each path by itself')
}

/** Folds the spellings that are one file on some machines. */
export function folded(path: string): string {
  return path.normalize('NFC').toLowerCase()
}

function refused(why: string, hint: string): MeshError {
  return new MeshError('bad_request', why, { hint })
}
