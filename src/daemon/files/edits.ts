/**
 * Notifies two sessions that edit the same file of a worktree, and the editor and claimant of a claimed file. Each file
 * has a record of its latest editors. A sidecar that finds another session in it notifies both, so no session has to
 * watch.
 */

import { createHash } from 'node:crypto'
import { BoundedMap } from '../../core/bounded-map.ts'
import { type FileNews, fileNewsText } from '../../core/files/news.ts'
import { fileEditedIn } from '../../core/mail/control.ts'
import { isOwned } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import { type Located, locateFile } from '../../host/repository/located.ts'
import { compareAndSet } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import type { FileClaim, FileEdited, FileEdits } from '../../wire/files.schema.ts'
import { limits, times } from '../../wire/limits.ts'
import { folded, isPath } from '../../wire/paths.ts'
import type { Actor } from '../../wire/task.schema.ts'
import type { MailSession } from '../mail/session.ts'
import { actorOf, graceOf } from '../names/actor.ts'
import { holderOf } from '../names/registry.ts'
import { claimAgainst } from './claims.ts'

const HASH_DIGITS = 16

export class EditNews {
  readonly #session: MailSession
  /** Edited paths that wait to be looked at. */
  readonly #pending = new Set<string>()
  /** Time at which this session was last put into a file's record, by path. */
  readonly #noted = new BoundedMap<string, number>(limits.filesEdited)
  /** The connection over which those records were written. */
  #store: ProjectStore | null = null
  #running = false

  constructor(session: MailSession) {
    this.#session = session
  }

  /** Handles an edit of the file at an absolute path. Without the engine it waits for the next edit of the file. */
  edited(path: string): void {
    if (this.#pending.size < limits.filesEdited) this.#pending.add(path)
    if (!this.#running) void this.#run()
  }

  /** Takes a peer's `edited` message. Returns the evidence of its receipt. */
  heard({ from, sentAt, body }: Envelope): string {
    const said = 'text' in body ? fileEditedIn(body.text) : null
    if (!said || Date.now() - Date.parse(sentAt) > times.fileEdit) return 'too late to matter'
    const { path, worktree, claim } = said
    const elsewhere = worktree !== this.#worktreeOf(this.#session.place.worktree)
    const what = claim ? 'edited-by-peer' : 'shared'
    this.#notify({ path, peer: from.name, what, elsewhere, ...(claim ? { claim } : {}) }, said, from)
    return 'its session is notified'
  }

  async #run(): Promise<void> {
    this.#running = true
    for (const path of this.#pending) {
      this.#pending.delete(path)
      await this.#look(path).catch((error) => {
        this.#session.log.debug({ error: MeshError.from(error).toBody() }, 'an edit was not shared')
      })
    }
    this.#running = false
  }

  async #look(path: string): Promise<void> {
    const { place, settings } = this.#session
    const { store } = this.#session.link
    // An engine that was started anew remembers no edits.
    if (store !== this.#store) this.#noted.clear()
    this.#store = store
    const file = locateFile(path, place.worktree)
    if (!file || !isPath(file.path)) return
    const me = actorOf(this.#session.record)
    const claim = await claimAgainst(store, file.repository, file.path, me, graceOf(settings))
    if (claim) await this.#notifyBoth(store, file, claim.holder, claim)
    for (const other of await this.#note(store, file, me)) await this.#notifyBoth(store, file, other, null)
  }

  /** Puts this session into the file's record. Resolves to the others that edited it lately. */
  async #note(store: ProjectStore, file: Located, me: Actor): Promise<Actor[]> {
    const key = `${this.#worktreeOf(file.top)}.${hashOf(folded(file.path))}`
    const now = Date.now()
    if (now - (this.#noted.get(key) ?? 0) < times.fileEditAgain) return []
    const others = await compareAndSet<FileEdits, FileEdits, Actor[]>(store.edits, key, ({ value }) => {
      const lately = (value?.by ?? []).filter(({ at }) => now - Date.parse(at) < times.fileEdit)
      const others = lately.filter(({ member, name }) => member !== me.member || name !== me.name)
      const by = [...others, { ...me, at: new Date(now).toISOString() }].slice(-limits.fileEditors)
      return { write: { v: 1, kind: 'file_edits', by }, result: others }
    })
    this.#noted.set(key, now)
    return others
  }

  /** Notifies this session and the other, unless they know. An ended session is skipped. */
  async #notifyBoth(store: ProjectStore, file: Located, other: Actor, claim: FileClaim | null): Promise<void> {
    const { path, repository, top } = file
    const holder = await holderOf(store, other.name)
    if (!holder || !isOwned(holder) || holder.epoch < other.epoch) return
    const said: FileEdited = {
      path,
      repository,
      worktree: this.#worktreeOf(top),
      ...(claim ? { claim: { path: claim.path } } : {}),
    }
    const what = claim ? 'claimed-by-peer' : 'shared'
    const news: FileNews = { path, peer: holder.name, what, ...(claim ? { claim } : {}) }
    if (!this.#notify(news, said, other)) return
    const { name, epoch } = this.#session.record
    const id = `m_${hashOf(JSON.stringify(['edited', said, name, epoch, holder.name, holder.epoch]), 32)}`
    const to = { kind: 'session', name: holder.name } as const
    const letter = { id, to, text: JSON.stringify(said), intent: 'edited', hops: 0 }
    await (await this.#session.send(letter)).stored
  }

  /** Puts news into this session's mailbox, once per peer and file. Returns false if it was there before. */
  #notify(news: FileNews, said: FileEdited, { member, epoch }: Actor): boolean {
    const { mailbox, record, place } = this.#session
    const of = [said.repository, said.worktree, folded(news.path), news.peer, record.epoch]
    const idOf = (what: FileNews['what']) => `m_${hashOf(JSON.stringify(['file', what, ...of]), 32)}`
    const id = idOf(news.what)
    const instead = news.what === 'shared' ? [idOf('claimed-by-peer'), idOf('edited-by-peer')] : []
    if ([id, ...instead].some((one) => mailbox.inbox.knows(one)) || !mailbox.hasRoom) return false
    const envelope: Envelope = {
      v: 1,
      kind: 'message',
      id,
      project: place.project,
      seq: 1,
      hops: 0,
      from: { member, name: news.peer, epoch },
      to: `file:${news.path}`,
      sentAt: new Date().toISOString(),
      body: { text: fileNewsText(news) },
    }
    mailbox.arrive({ seq: 0, envelope, verified: true }, Date.now())
    this.#session.poke()
    return true
  }

  /** Returns a hash of a directory and its machine. */
  #worktreeOf(top: string): string {
    return hashOf(JSON.stringify([this.#session.record.process.host, top]))
  }
}

function hashOf(text: string, digits = HASH_DIGITS): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits)
}
