/** Makes mail of a run's events, and notes how far they were read. */
import { readJson } from '../../host/files.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import type { RunEvent } from '../../wire/run.schema.ts'

const CURSOR_BYTES = 4096

/** The known part of an event. */
export type Known = Pick<RunEvent, 'run' | 'id' | 'type'>

/** Returns the position up to which events were read; null without a note of it. */
export function cursorIn(path: string): number | null {
  const value = readJson(path, CURSOR_BYTES) as { next?: unknown } | null | undefined
  return typeof value?.next === 'number' && value.next >= 1 ? value.next : null
}

export interface News {
  key: string
  run: string
  project: string
  from: Envelope['from']
  at: string
  text: string
}

/** Makes the mail of a piece of news; `id` is derived from its key. */
export function mailOf(id: string, { run, project, from, at, text }: News): Envelope {
  const to = `run:${run}`
  return { v: 1, kind: 'message', id, project, from, to, seq: 1, sentAt: at, hops: 0, body: { text } }
}
