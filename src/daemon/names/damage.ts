/** Notices that the store lost records, whichever they were, and notifies the people once. */
import { MeshError } from '../../errors.ts'
import { changeDamage, type Damage as Known, type Loss, type Mark, readDamage } from '../../host/damage.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Extent } from '../../nats/streams.ts'
import type { StoreListener } from '../../nats/writes.ts'
import { storeNames } from '../../wire/subjects.ts'
import type { Session } from '../session.ts'
import { notifyPeople } from './people.ts'

/** Positions are noted on disk this long after a write. */
const NOTE_MS = 10_000
/** After this long, a sidecar that noticed a loss has died before it notified the people. */
const OVERDUE_MS = 60_000

/** The records of each stream, for people. */
const nouns: Record<keyof ReturnType<typeof storeNames>, string> = {
  messages: 'messages',
  receipts: 'receipts of messages',
  names: 'names of sessions',
  presence: 'heartbeats',
  surfaced: 'records of what was read',
  takers: 'records of who took mail of a role',
  objects: 'large message bodies',
  members: 'keys of members',
  tasks: 'changes of tasks',
  claims: 'file claims',
  edits: 'edits of files',
  events: 'events of runs',
  runs: 'records of runs',
  state: 'revisions of state documents',
  documents: 'texts of state documents',
}

export class Damage implements StoreListener {
  readonly #session: Session
  /** The last position that this process wrote to each stream, and how often the stream had lost records by then. */
  readonly #seen = new Map<string, { lastSeq: number; losses: number }>()
  /** How often each stream has lost records, once it was compared. */
  readonly #losses = new Map<string, number>()
  /** Losses that this process found. */
  readonly #found: Loss[] = []
  #timer: NodeJS.Timeout | null = null

  constructor(session: Session) {
    this.#session = session
  }

  stored(stream: string, position: number | null): void {
    const losses = this.#losses.get(stream)
    if (position === null || losses === undefined) return
    const before = this.#seen.get(stream)
    const lastSeq = before?.losses === losses ? Math.max(before.lastSeq, position) : position
    this.#seen.set(stream, { lastSeq, losses })
    this.#timer ??= setTimeout(() => void this.note(), NOTE_MS).unref()
  }

  /** The same damage is met with every read. */
  damaged(what: string): void {
    const { home, place } = this.#session
    const isKnown = ({ losses }: Known) => losses.some((loss) => loss.what === what)
    if (isKnown(readDamage(home, place.project))) return
    const found = this.#remember(async (known) => (isKnown(known) ? [] : [what]))
    void found.then(() => this.report())
  }

  unreadable(stream: string, count: number): void {
    this.damaged(`${count} of the ${nounOf(this.#session, stream)} (unreadable)`)
  }

  /** Notes on disk how far the streams went. */
  async note(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#seen.size === 0) return
    await this.#change(({ marks }) => {
      for (const [stream, { lastSeq, losses }] of this.#seen) {
        const mark = marks[stream]
        if (mark?.losses === losses) mark.lastSeq = Math.max(mark.lastSeq, lastSeq)
      }
    })
  }

  /** While the engine is away nothing is known of how often its streams lost records. */
  detach(): void {
    void this.note()
    this.#losses.clear()
  }

  /** Compares the store with how far it went before. Called before anything is written over a connection. */
  async compare(store: ProjectStore): Promise<void> {
    const { home, place } = this.#session
    // Read before the engine is asked: other sessions write, and move the marks.
    const before = readDamage(home, place.project).marks
    const asked = store.extents()
    asked.catch(() => {})
    await this.#remember(async ({ marks }) => {
      const extents = await asked
      return extents.flatMap((extent) => this.#judge(extent, before[extent.stream], marks))
    })
  }

  /** Moves the mark of a stream to where it ends. Returns what it lost since `before`, in words. */
  #judge(extent: Extent, before: Mark | undefined, marks: Known['marks']): string[] {
    const { stream, createdAt, lastSeq, damaged } = extent
    const now = marks[stream] ?? { createdAt, lastSeq: 0, damaged: 0, losses: 0 }
    // Undefined before, or found to be shorter by another session meanwhile: nothing is known to compare with.
    const mark = before?.losses === now.losses ? before : { ...now, createdAt, lastSeq: 0 }
    const seen = this.#seen.get(stream)
    const known = Math.max(mark.lastSeq, seen?.losses === now.losses ? seen.lastSeq : 0)
    const isShort = known > 0 && (lastSeq < known || createdAt !== mark.createdAt)
    const losses = now.losses + (isShort ? 1 : 0)
    marks[stream] = { createdAt, damaged, losses, lastSeq: isShort ? lastSeq : Math.max(lastSeq, now.lastSeq) }
    this.#losses.set(stream, losses)
    return this.#lossOf(extent, mark, known)
  }

  #lossOf({ stream, createdAt, lastSeq, damaged }: Extent, mark: Mark, known: number): string[] {
    const noun = nounOf(this.#session, stream)
    if (createdAt !== mark.createdAt && known > 0) return [`all ${noun} (positions 1 to ${known})`]
    if (lastSeq < known) return [`the last ${known - lastSeq} ${noun} (positions ${lastSeq + 1} to ${known})`]
    return damaged > mark.damaged ? [`${damaged - mark.damaged} of the ${noun}`] : []
  }

  /** Remembers the losses that `find` returns. */
  async #remember(find: (known: Known) => Promise<string[]>): Promise<void> {
    const at = new Date().toISOString()
    await this.#change(async (damage) => {
      const found = (await find(damage)).map((what): Loss => ({ at, what, isReported: false, isSeen: false }))
      damage.losses.push(...found)
      this.#found.push(...found)
    })
  }

  /** Notifies the people of what was found and not reported, here or by a sidecar that died. Once the session has a name. */
  async report(): Promise<void> {
    const { home, place, log } = this.#session
    const isMine = (loss: Loss) => this.#found.some(({ at, what }) => at === loss.at && what === loss.what)
    const isDue = (loss: Loss) => isMine(loss) || Date.now() - Date.parse(loss.at) > OVERDUE_MS
    const due = readDamage(home, place.project).losses.filter((loss) => !loss.isReported && isDue(loss))
    if (due.length === 0) return
    const lost = due.map(({ what }) => what)
    log.error({ lost }, 'the store lost records')
    const text = `The store of project ${place.project} is damaged, noticed ${due[0]!.at}. Lost: ${lost.join('; ')}. Senders send messages of the last day again; the rest is gone. mesh doctor shows the list.`
    try {
      await notifyPeople(this.#session, text, `${place.project} ${due[0]!.at} ${lost.join()}`)
      await this.#change(({ losses }) => {
        for (const loss of losses) loss.isReported ||= due.some(({ at, what }) => at === loss.at && what === loss.what)
      })
    } catch (error) {
      log.warn({ error: MeshError.from(error).toBody() }, 'people not notified of the damage')
    }
  }

  async #change(change: (known: Known) => void | Promise<void>): Promise<Known | null> {
    const { home, place, log } = this.#session
    try {
      return await changeDamage(home, place.project, change)
    } catch (error) {
      log.warn({ error: MeshError.from(error).toBody() }, 'marks of the store not kept')
      return null
    }
  }
}

function nounOf({ place }: Session, stream: string): string {
  const names = Object.entries(storeNames(place.project))
  const [bucket] = names.find(([, name]) => stream.endsWith(name))!
  return nouns[bucket as keyof typeof nouns]
}
