/** Private directories, and files that appear whole or not at all. */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { MeshError } from '../errors.ts'
import { isReadOnlyView, sandboxed, sandboxName } from './sandbox.ts'

/**
 * Makes a directory that only its owner may enter, 0700, with its parents. Throws `denied` for a symbolic link, a
 * directory of another user or one that may not be made, `store_full` for a full disk.
 */
export function ensurePrivateDir(path: string): void {
  try {
    makeDir(path)
    const stat = lstatSync(path)
    checkOwn(stat, path)
    if ((stat.mode & 0o077) !== 0) chmodSync(path, 0o700)
  } catch (error) {
    if (errno(error) === 'ENOENT') throw new MeshError('denied', `${path} cannot be made`, { cause: error })
    throw fileError(error, path)
  }
}

/** Makes a directory with its parents. Node's own `recursive` never returns where a file system refuses with ENOENT, as /proc does. */
function makeDir(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })) return
  const parent = dirname(path)
  if (!existsSync(parent)) makeDir(parent)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    // Another process was faster.
    if (errno(error) !== 'EEXIST') throw error
  }
}

/** Throws `denied` for what is not a directory of ours. */
export function checkOwn(stat: Stats, path: string): void {
  if (!stat.isDirectory()) throw new MeshError('denied', `${path} is not a directory (symbolic links are refused)`)
  if (stat.uid !== process.getuid?.()) throw new MeshError('denied', `${path} belongs to another user`)
}

/**
 * Replaces a file as a whole, 0600; with `sync` it is on disk when this returns. Throws `store_full` when the disk is,
 * `denied` when the directory may not be written.
 */
export function writeAtomic(path: string, data: string | Uint8Array, options: { sync?: boolean } = {}): void {
  viaTemporary(path, data, options.sync === true, (temporary) => renameSync(temporary, path))
}

/** Creates a file, 0600, that never appears half-written; false if there is one already. Throws as `writeAtomic`. */
export function writeNew(path: string, data: string | Uint8Array, options: { sync?: boolean } = {}): boolean {
  return viaTemporary(path, data, options.sync === true, (temporary) => {
    try {
      linkSync(temporary, path)
      return true
    } catch (error) {
      if (errno(error) === 'EEXIST') return false
      throw error
    }
  })
}

function viaTemporary<T>(path: string, data: string | Uint8Array, sync: boolean, publish: (temporary: string) => T): T {
  const temporary = `${path}.tmp-${randomBytes(8).toString('hex')}`
  try {
    writeFileSync(temporary, data, { flag: 'wx', mode: 0o600 })
    if (sync) syncPath(temporary)
    const result = publish(temporary)
    if (sync) syncPath(dirname(path))
    return result
  } catch (error) {
    throw fileError(error, path)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** Brings a file's data, or a directory's entries, to disk. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The text of a regular file; null if there is none. Throws `too_large` above `maxBytes`, `denied` if unreadable. */
export function readText(path: string, maxBytes: number): string | null {
  return readBytes(path, maxBytes)?.toString('utf8') ?? null
}

/** The bytes of a regular file; otherwise as `readText`. */
export function readBytes(path: string, maxBytes: number): Buffer | null {
  let fd: number
  try {
    // O_NONBLOCK: opening another program's FIFO must not hang.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENAMETOOLONG'].includes(errno(error))) return null
    throw fileError(error, path)
  }
  try {
    return fstatSync(fd).isFile() ? readAll(fd, path, maxBytes) : null
  } finally {
    closeSync(fd)
  }
}

function readAll(fd: number, path: string, maxBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(Math.min(fstatSync(fd).size, maxBytes) + 1)
  let length = 0
  for (;;) {
    const count = readSync(fd, buffer, length, buffer.length - length, null)
    length += count
    if (count === 0 || length === buffer.length) break
  }
  if (length > maxBytes) throw new MeshError('too_large', `${path} has more than ${maxBytes} bytes`)
  return buffer.subarray(0, length)
}

/** The last bytes of a file, at most `maxBytes`. Throws as `open(2)`. */
export function readEnd(path: string, maxBytes: number): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const { size } = fstatSync(fd)
    const buffer = Buffer.alloc(Math.min(size, maxBytes))
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, Math.max(0, size - maxBytes)))
  } finally {
    closeSync(fd)
  }
}

/** The JSON value in a file; undefined if the file is absent, unreadable, too large or not JSON. */
export function readJson(path: string, maxBytes: number): unknown {
  try {
    // Some editors put a byte order mark first.
    return JSON.parse((readText(path, maxBytes) ?? '').replace(/^\ufeff/, '')) as unknown
  } catch {
    return undefined
  }
}

function errno(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}

/** A sandbox that names itself answers as file modes would; any other shows in its view of the file system. */
function isShutOff(code: string, path: string): boolean {
  if (code === 'EROFS' && isReadOnlyView(path)) return true
  return sandboxName(process.env) !== null && ['EACCES', 'EPERM', 'EROFS'].includes(code)
}

/** A failed file operation in the words of the code table; anything else passes as it is. */
export function fileError(error: unknown, path: string): unknown {
  const code = errno(error)
  if (['ENOSPC', 'EDQUOT'].includes(code)) {
    return new MeshError('store_full', `no space left for ${path}`, { cause: error })
  }
  if (isShutOff(code, path)) return sandboxed(process.env, `using ${path}`, error)
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ELOOP', 'ENAMETOOLONG'].includes(code)) {
    return new MeshError('denied', `${path} cannot be used: ${(error as Error).message}`, { cause: error })
  }
  return error
}
