/** Runs the life of one session on the mesh: its start, connections to the engine, names, and end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isControl } from '../core/mail/control.ts'
import { isShell } from '../core/names/kinds.ts'
import { MeshError } from '../errors.ts'
import { runDir, sessionDir } from '../host/home.ts'
import { alarms } from '../host/log.ts'
import { exchangeKeys, LOCAL_MEMBER } from '../link/keys.ts'
import type { ProjectStore } from '../nats/project-store.ts'
import { readStop } from '../run/dir.ts'
import { type SessionEnd, sessionEnd } from '../wire/session-end.ts'
import { obey } from './control.ts'
import { removeLocked } from './disk/session-dir.ts'
import { eventsOf } from './events.ts'
import { passClaims } from './files/claims.ts'
import { drainAll } from './mail/drain.ts'
import { addRole } from './mail/memberships.ts'
import { Storage } from './mail/storage.ts'
import { actorOf } from './names/actor.ts'
import { notifyRenamed } from './names/people.ts'
import { adoptFormer, catchUp, completing } from './names/rename.ts'
import { Rooms } from './rooms.ts'

/** Limits the farewell, since the end of `claude -p` waits for its hooks' children. A witness reports the rest. */
const FAREWELL_MS = 100
/** Time to wait for an engine that restarts; past this it will take longer. */
const READY_MS = 1500

export class Sidecar extends Rooms {
  #linked: Promise<void> = Promise.resolve()
  /** Serializes changes of the name. */
  #renaming: Promise<unknown> = Promise.resolve()

  /** A `mesh down` that came after `began` (milliseconds) is obeyed; an earlier one is over with this new session. */
  async start(began?: number): Promise<void> {
    // First of all: a session that dies at its very start has a witness too.
    this.witness.start()
    this.#linked = this.link.start(began)
    await this.harness.start(eventsOf(this))
    await this.#linked
  }

  async ready(): Promise<void> {
    await this.#linked
    await this.link.whenUp(READY_MS)
    await this.#renaming
  }

  settled(): Promise<unknown> {
    return this.#renaming
  }

  async up(store: ProjectStore): Promise<void> {
    const { log, home, naming } = this
    const compared = this.damage.compare(store)
    const before = this.isNamed ? this.record.name : null
    if (before === null || naming.isNewConversation || !(await naming.isStillMine(store))) await naming.join(store)
    await this.#open(store)
    const { record } = this
    this.presence.attach(store)
    await this.sender.attach(store)
    await this.receipts.attach(store, record.name)
    await this.roles.attach(store, record.roles)
    this.runs.attach(store, before === null && ['new', 'suffixed'].includes(naming.claimed!.outcome))
    this.board.resume(store)
    void compared.then(() => this.damage.report())
    await this.save()
    void this.loops.notify()
    void this.beginnings.giveLate()
    void this.handoffs.run()
    if (before !== null && before !== record.name)
      void notifyRenamed(this, before).catch((error) =>
        log.warn({ error: MeshError.from(error).toBody() }, 'not notified of its new name'),
      )
    log.info({ name: record.name, epoch: record.epoch, project: store.project }, 'on the mesh')
    const members = await exchangeKeys(store, this.ring, { member: LOCAL_MEMBER, key: this.key })
    if (members.length > 0)
      log.error({ event: alarms.foreignKey, members }, 'members whose key is not the one first seen')
    void drainAll(home, store, log).catch((error) => log.warn({ error }, 'outboxes not drained'))
  }

  down(): void {
    this.log.warn('the engine is away')
    this.board.close()
    this.storage?.detach()
    for (const room of [this.receipts, this.presence, this.runs, this.obligations, this.roles, this.damage])
      room.detach()
  }

  /** Opens the name's files on this machine, unless they are open, and reads its mail. */
  async #open(store: ProjectStore): Promise<void> {
    const { home, log, incoming, link, registry } = this
    if (!this.storage) {
      await adoptFormer(home, store, registry)
      const { project } = store
      this.storage = await Storage.open({ home, project, record: this.record, log, incoming, stalls: link.stalls })
      // A crash may have come between its arrival and its answer.
      for (const entry of this.mailbox.inbox.unread()) if (isControl(entry.envelope)) await obey(this, entry)
      this.courier.attach(this.storage.mailbox)
      this.context.resume()
    }
    this.obligations.attach(store)
    const wentBack = await registry.fitTo(store)
    await Promise.all([this.storage.read(store, this.record, wentBack), this.state.attach(store, this.record)])
    if (isShell(this.harness.kind) && !this.record.roles.includes('operator')) await addRole(this, 'operator')
    this.writeRecord()
    this.beginnings.joined()
  }

  leave(): void {
    this.state.leave()
    this.runs.leave()
    for (const room of [this.obligations, this.roles, this.receipts, this.presence, this.courier]) room.detach()
    this.storage?.close()
    this.storage = null
  }

  /** Checks with every heartbeat whether another session owns the name, or recorded this one as lost. */
  async checkName(): Promise<void> {
    await this.#renaming
    if (!this.link.up || this.isEnding) return
    try {
      const { store } = this.link
      if (!(await this.naming.isStillMine(store))) await completing(this.link, () => this.up(store))
      await this.save()
    } catch (error) {
      this.log.debug({ error: MeshError.from(error).toBody() }, 'name not checked')
    }
  }

  /** Follows the process to another conversation: under its name, unless that conversation has its own. */
  follow(): Promise<void> {
    return this.#changeName(async () => {
      if (!this.naming.isNewConversation) return
      const { link, record: former } = this
      const { store } = link
      await completing(link, async () => {
        await this.naming.join(store)
        if (this.storage) return this.writeRecord()
        await this.up(store)
        await store.presence.delete(former.name)
      })
    })
  }

  /** Takes another name, with mail and files. Resolves to the name before. */
  rename(name: string): Promise<string> {
    return this.#changeName(async () => {
      const { link, record: former, registry, board } = this
      const { store } = link
      await catchUp(store, former, () => this.mailbox.inbox.high)
      await registry.rename(store, name)
      await completing(link, async () => {
        this.leave()
        await this.up(store)
        await store.presence.delete(former.name)
        await board.rename(store, former, this.record)
        await passClaims(store, former, actorOf(this.record))
      })
      return former.name
    })
  }

  #changeName<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#renaming.then(change)
    this.#renaming = changed.catch(() => {})
    return changed
  }

  /** Returns the end with who asked for it through mesh, where the process shows only its signal. */
  #stopped(end: SessionEnd): SessionEnd {
    const stop =
      this.run && ['signalled', 'daemon'].includes(end.code) ? readStop(runDir(this.home, this.run.id)) : null
    return stop ? sessionEnd(end.code, `stopped by ${stop.by}`) : end
  }

  /** Ends the session. While the engine is away, a witness reports it from the session directory. */
  async end(seen: SessionEnd): Promise<void> {
    if (this.isEnding) return
    this.isEnding = true
    const end = this.#stopped(seen)
    this.log.info(end, 'session ended')
    // A witness that reports it in our place reads the reason here.
    if (this.isNamed) this.writeRecord(end)
    await this.recallOffer().catch(() => {})
    const [isReported] = await Promise.all([
      Promise.race([this.#farewell(end), sleep(FAREWELL_MS, false)]),
      this.runs.end(end, FAREWELL_MS),
    ])
    this.witness.stop()
    this.board.close()
    await this.harness.stop().catch(() => {})
    this.leave()
    await Promise.race([this.link.stop(), sleep(FAREWELL_MS)])
    if (isReported) removeLocked(sessionDir(this.home, this.options.key))
    this.options.onEnd()
  }

  async #farewell(end: SessionEnd): Promise<boolean> {
    if (!this.link.up || !this.isNamed) return !this.isNamed
    try {
      const { store } = this.link
      const { name } = this.record
      // Receipts of messages read just before the end are sent, too.
      await Promise.all([
        this.registry.end(store, end, new Date().toISOString()),
        this.receipts.flush(),
        this.save(),
        this.damage.note(),
      ])
      await store.presence.delete(name)
      return true
    } catch (error) {
      this.log.warn({ error: MeshError.from(error).toBody() }, 'end not reported')
      return false
    }
  }
}
