/** Finds the client's files of a session's subagents: two for each, in a folder beside the session's transcript. */
import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { readJson } from '../../../host/files.ts'
import { agentMeta } from '../hooks/event.schema.ts'

const META_BYTES = 256 * 1024
/** Limits the subagents that an earlier sidecar may have followed; a session may have had hundreds. */
const RECENT = 64
const AGENT_FILE = /^agent-([\w-]{1,64})\.jsonl$/

/** Returns the transcript of subagent `id` of the session with this transcript; null for an id that is none. */
export function transcriptOf(session: string, id: string): string | null {
  const file = `agent-${id}.jsonl`
  return AGENT_FILE.test(file) ? join(folderOf(session), file) : null
}

/** Returns true for a subagent's transcript, by its name. */
export function isSubagents(transcript: string): boolean {
  return AGENT_FILE.test(basename(transcript)) && basename(dirname(transcript)) === 'subagents'
}

/** Returns the client's name for it, and the subagent that started it; null if that is not written down yet. */
export function readMeta(transcript: string): { title: string | undefined; parent: string | null } | null {
  const meta = metaOf(transcript)
  return meta && { title: meta.description || meta.agentType, parent: meta.parentAgentId ?? null }
}

/**
 * Returns true when its turn is over, whichever way, unless it was made to stop. The client takes that back when it
 * goes on.
 */
export function isFinished(transcript: string): boolean {
  return metaOf(transcript)?.finished === true
}

export function agentFiles(path: string): { path: string; size: number; changedMs: number } {
  const stat = statSync(path, { throwIfNoEntry: false })
  return { path, size: stat?.size ?? 0, changedMs: Date.now() - (stat?.mtimeMs ?? 0) }
}

/** Returns the latest subagents of a session. */
export function agentsOf(session: string): { id: string; path: string }[] {
  const folder = folderOf(session)
  const found = names(folder).flatMap((name) => {
    const id = AGENT_FILE.exec(name)?.[1]
    return id ? [{ id, ...agentFiles(join(folder, name)) }] : []
  })
  return found.sort((a, b) => a.changedMs - b.changedMs).slice(0, RECENT)
}

function metaOf(transcript: string) {
  return agentMeta.safeParse(readJson(transcript.replace(/\.jsonl$/, '.meta.json'), META_BYTES)).data ?? null
}

function folderOf(session: string): string {
  return join(session.replace(/\.jsonl$/, ''), 'subagents')
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
