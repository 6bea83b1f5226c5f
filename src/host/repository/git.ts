/**
 * Reads which repository a directory is in, from git's files. Never runs git: a repository's configuration can name
 * programs to execute. File formats: gitrepository-layout(5) and git-config(1).
 */
import { existsSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { readText } from '../files.ts'
import { parseConfig } from './config.ts'

const POINTER_BYTES = 16 * 1024
const CONFIG_BYTES = 1024 * 1024

export interface Repository {
  /** The real path of the working tree's top directory. */
  topLevel: string
  /** The real path of the git directory that all worktrees share. */
  commonDir: string
  /** The real path of the worktree's own git directory. */
  gitDir: string
  /** Null when HEAD is detached. */
  branch: string | null
  /** The URL of `origin`, else of the first remote, as written; it may contain a password. */
  remote: string | null
}

/** The repository that `cwd` is in; null if there is none, or it is bare. */
export function readRepository(cwd: string): Repository | null {
  const start = realPath(cwd)
  if (start === null) return null
  for (let dir = start; ; dir = dirname(dir)) {
    const found = repositoryAt(dir)
    if (found) return found
    if (dir === dirname(dir)) return null
  }
}

function repositoryAt(topLevel: string): Repository | null {
  const found = gitDirOf(topLevel)
  const gitDir = found && realPath(found)
  const head = gitDir && readBounded(join(gitDir, 'HEAD'), POINTER_BYTES)
  if (!gitDir || head === null) return null
  const common = readBounded(join(gitDir, 'commondir'), POINTER_BYTES)
  const commonDir = realPath(common === null ? gitDir : resolve(gitDir, common.trim()))
  if (commonDir === null || !existsSync(join(commonDir, 'objects'))) return null
  const config = readBounded(join(commonDir, 'config'), CONFIG_BYTES)
  return { topLevel, commonDir, gitDir, branch: branchOf(head), remote: config === null ? null : remoteIn(config) }
}

/** `.git` is a directory, or in worktrees and submodules a file with the path of one. */
function gitDirOf(topLevel: string): string | null {
  const path = join(topLevel, '.git')
  try {
    if (statSync(path).isDirectory()) return path
  } catch {
    return null
  }
  const target = readBounded(path, POINTER_BYTES)?.match(/^gitdir: (.+?)[\r\n]*$/s)?.[1]
  return target ? resolve(topLevel, target) : null
}

/** With the reftable format HEAD names `.invalid`, and the branch is in a binary file. */
function branchOf(head: string): string | null {
  const branch = head.match(/^ref:\s*refs\/heads\/(.+?)\s*$/)?.[1]
  return branch === undefined || branch === '.invalid' ? null : branch
}

/** Of the repository's own file alone, as the first release read it: ids of projects are made of it. */
function remoteIn(config: string): string | null {
  const urls = parseConfig(config).filter(
    ({ section, key, value }) => section === 'remote' && key === 'url' && value !== '',
  )
  return (urls.find(({ part }) => part === 'origin') ?? urls[0])?.value ?? null
}

function realPath(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    return null
  }
}

/** A file that cannot be read counts as absent: this is the user's repository, not a file of ours. */
function readBounded(path: string, maxBytes: number): string | null {
  try {
    return readText(path, maxBytes)
  } catch {
    return null
  }
}
