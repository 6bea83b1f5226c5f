/** Definitions of the project's streams and buckets; makes what is missing. */
import {
  DiscardPolicy,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import { limits, maxConsumers, times } from '../wire/limits.ts'
import {
  changeSubject,
  eventStreamSubjects,
  messageStreamSubjects,
  receiptStreamSubjects,
  storeNames,
} from '../wire/subjects.ts'
import { isNotFound, toMeshError } from './errors.ts'
import type { Writes } from './writes.ts'

type Definition = Partial<StreamConfig> & { name: string }

const nanos = (ms: number) => ms * 1_000_000

function stream(name: string, subjects: string[], ageMs: number): Definition {
  return {
    name,
    subjects,
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_age: nanos(ageMs),
    max_consumers: maxConsumers,
    duplicate_window: nanos(times.duplicateWindow),
    allow_direct: true,
    num_replicas: 1,
  }
}

/** A bucket in the form that @nats-io/kv makes (ADR-8), with `max_consumers` set. */
function bucket(
  name: string,
  options: { ageMs?: number; memory?: boolean; changed?: string; history?: number } = {},
): Definition {
  const ageMs = options.ageMs ?? 0
  return {
    name: `KV_${name}`,
    subjects: [`$KV.${name}.>`],
    retention: RetentionPolicy.Limits,
    storage: options.memory ? StorageType.Memory : StorageType.File,
    discard: DiscardPolicy.New,
    max_age: nanos(ageMs),
    max_msgs_per_subject: options.history ?? 1,
    max_consumers: maxConsumers,
    // The window may not be longer than the age.
    duplicate_window: nanos(ageMs > 0 ? Math.min(ageMs, times.duplicateWindow) : times.duplicateWindow),
    allow_direct: true,
    allow_rollup_hdrs: true,
    // Watchers subscribe to this: a watch of the bucket would cost a consumer each.
    ...(options.changed ? { republish: { src: `$KV.${name}.>`, dest: options.changed } } : {}),
    deny_delete: true,
    num_replicas: 1,
  }
}

/** An object store in the form that @nats-io/obj makes (ADR-20), with `max_consumers` set. */
function objects(name: string, ageMs: number): Definition {
  return {
    name: `OBJ_${name}`,
    subjects: [`$O.${name}.C.>`, `$O.${name}.M.>`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_age: nanos(ageMs),
    max_consumers: maxConsumers,
    allow_direct: true,
    allow_rollup_hdrs: true,
    num_replicas: 1,
  }
}

function definitions(project: string): Definition[] {
  const names = storeNames(project)
  return [
    stream(names.messages, messageStreamSubjects(project), times.messageAge),
    stream(names.receipts, receiptStreamSubjects(project), times.receiptAge),
    bucket(names.names, { changed: changeSubject(project, 'names', '>') }),
    bucket(names.presence, {
      ageMs: times.presenceAge,
      memory: true,
      changed: changeSubject(project, 'presence', '>'),
    }),
    bucket(names.surfaced),
    bucket(names.takers, { ageMs: times.messageAge }),
    bucket(names.members),
    bucket(names.tasks, { changed: changeSubject(project, 'tasks', '>'), history: limits.taskHistory }),
    bucket(names.claims),
    bucket(names.edits, { ageMs: times.fileEdit, memory: true }),
    objects(names.objects, times.messageAge),
    bucket(names.state, { history: limits.stateHistory }),
    // Kept for as long as a pointer names them.
    objects(names.documents, 0),
    ...runDefinitions(project),
  ]
}

/** The streams and buckets that a run's supervisor needs. */
function runDefinitions(project: string): Definition[] {
  const names = storeNames(project)
  return [
    {
      ...stream(names.events, eventStreamSubjects(project), times.eventAge),
      republish: { src: eventStreamSubjects(project)[0]!, dest: changeSubject(project, 'events', '>') },
    },
    bucket(names.runs, { ageMs: times.eventAge }),
  ]
}

/** Makes the streams and buckets that are missing. Safe to call at once from many sidecars. */
export function ensureStreams(jsm: JetStreamManager, project: string, writes: Writes): Promise<void> {
  return ensure(jsm, definitions(project), writes)
}

/** Makes the streams for runs, as `ensureStreams` does. */
export function ensureRunStreams(jsm: JetStreamManager, project: string, writes: Writes): Promise<void> {
  return ensure(jsm, runDefinitions(project), writes)
}

/** Asks for the names of all streams at once: the start of a session waits for this. */
async function ensure(jsm: JetStreamManager, wanted: Definition[], writes: Writes): Promise<void> {
  try {
    const present = new Set<string>()
    for await (const name of jsm.streams.names()) present.add(name)
    const missing = wanted.filter(({ name }) => !present.has(name))
    // Adding a stream that a peer has just made with the same definition is no error.
    await Promise.all(missing.map((one) => writes.do(one.name, () => jsm.streams.add(one))))
  } catch (error) {
    throw toMeshError(error)
  }
}

/** How far a stream on disk goes. */
export interface Extent {
  stream: string
  /** When it was made: another time means another stream. */
  createdAt: string
  lastSeq: number
  /** Number of messages that the engine found damaged when it started. */
  damaged: number
}

/** Returns how far each stream goes that does not go with the engine. */
export async function readExtents(jsm: JetStreamManager, project: string): Promise<Extent[]> {
  const onDisk = definitions(project).filter(({ storage }) => storage === StorageType.File)
  try {
    return await Promise.all(onDisk.map(async ({ name }) => extentOf(name, await jsm.streams.info(name))))
  } catch (error) {
    throw toMeshError(error)
  }
}

function extentOf(stream: string, { created, state }: StreamInfo): Extent {
  const damaged = state.lost?.msgs?.length ?? 0
  return { stream, createdAt: created.toString(), lastSeq: state.last_seq, damaged }
}

export interface StoreHealth {
  /** The engine's clock; null without a stream to ask about. */
  at: string | null
  streams: { name: string; messages: number; bytes: number }[]
  /** Streams and buckets that the project should have and has not. */
  missing: string[]
}

/** Returns the engine's clock, milliseconds. Throws `mesh_down`, `timeout`. */
export async function engineClock(jsm: JetStreamManager, project: string): Promise<number> {
  try {
    const at = timeOf(await jsm.streams.info(storeNames(project).messages))
    return at === null ? Date.now() : Date.parse(at)
  } catch (error) {
    throw toMeshError(error)
  }
}

/** The answer has the server's time since 2.10; its type does not say so. */
function timeOf(info: object): string | null {
  return (info as { ts?: string }).ts ?? null
}

/** Returns the engine's view of the project's streams and buckets. Makes none. */
export async function storeHealth(jsm: JetStreamManager, project: string): Promise<StoreHealth> {
  const health: StoreHealth = { at: null, streams: [], missing: [] }
  for (const { name } of definitions(project)) {
    try {
      const info = await jsm.streams.info(name)
      health.at = timeOf(info) ?? health.at
      health.streams.push({ name, messages: info.state.messages, bytes: info.state.bytes })
    } catch (error) {
      if (!isNotFound(error)) throw toMeshError(error)
      health.missing.push(name)
    }
  }
  return health
}
