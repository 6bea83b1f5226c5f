/**
 * What is true of sessions and their messages, in a few lines that know nothing of engines, journals or processes. The
 * model suite holds it against the real thing.
 */

export interface ModelMail {
  id: string
  text: string
  from: string
  to: string
  replyTo: string | null
  /** It may have been shown before. */
  repeat: boolean
  /** In a hand-over that no reader confirmed. */
  handover: string | null
}

export interface ModelPeer {
  name: string
  /** What it was called before: mail that a sender addressed to that name is still this session's. */
  formerly: string | null
  epoch: number
  /** `dead`: its sidecar was killed, `stopped`: it ended in good order. The next call brings it back either way. */
  state: 'alive' | 'dead' | 'stopped'
  unread: ModelMail[]
  read: ModelMail[]
  topics: Set<string>
  roles: Set<string>
  /** Open hand-overs and their messages. */
  open: Map<string, string[]>
}

/** A role's message has no reader until somebody shows it. */
interface RoleMail {
  mail: ModelMail
  /** Names that showed it, unmarked ones first. */
  unmarked: string[]
  marked: string[]
}

export class Model {
  readonly peers: ModelPeer[] = []
  readonly roleMail = new Map<string, RoleMail>()
  readonly forgotten = new Set<string>()

  add(name: string, epoch: number): ModelPeer {
    const fresh = { unread: [], read: [], topics: new Set<string>(), roles: new Set<string>(), open: new Map() }
    const peer: ModelPeer = { name, formerly: null, epoch, state: 'alive', ...fresh }
    this.peers.push(peer)
    return peer
  }

  find(name: string): ModelPeer | undefined {
    return this.peers.find((peer) => peer.name === name)
  }

  send(mail: Omit<ModelMail, 'repeat' | 'handover'>): void {
    const fresh = () => ({ ...mail, repeat: false, handover: null })
    if (mail.to.startsWith('role:')) this.roleMail.set(mail.id, { mail: fresh(), unmarked: [], marked: [] })
    for (const peer of this.#readersOf(mail)) peer.unread.push(fresh())
  }

  #readersOf({ from, to }: Pick<ModelMail, 'from' | 'to'>): ModelPeer[] {
    const others = this.peers.filter(({ name }) => name !== from)
    if (to === '@all') return others
    if (to.startsWith('topic:')) return others.filter(({ topics }) => topics.has(to.slice(6)))
    const named = this.peers.filter(({ name }) => name === to)
    return named.length > 0 ? named : this.peers.filter(({ formerly }) => formerly === to)
  }

  /** Messages were given to a reader, which did or did not confirm that it showed them. */
  hand(peer: ModelPeer, handover: string, ids: readonly string[]): void {
    peer.open.set(handover, [...ids])
    for (const mail of peer.unread) if (ids.includes(mail.id)) mail.handover = handover
  }

  /** A reader confirmed. Returns how many messages that settles. */
  confirm(peer: ModelPeer, handover: string): number {
    const ids = peer.open.get(handover) ?? []
    peer.open.delete(handover)
    const settled = peer.unread.filter(({ id }) => ids.includes(id))
    peer.unread = peer.unread.filter(({ id }) => !ids.includes(id))
    peer.read.push(...settled)
    return settled.length
  }

  /** Its sidecar is gone. What was handed over and not confirmed may have been shown. */
  end(peer: ModelPeer, state: 'dead' | 'stopped'): void {
    peer.state = state
    peer.open.clear()
    for (const mail of peer.unread) {
      if (mail.handover !== null) Object.assign(mail, { handover: null, repeat: true })
    }
  }

  /** The next call brought it back: a new holder of the same name, with all that was unread. */
  revive(peer: ModelPeer): void {
    if (peer.state === 'alive') return
    peer.state = 'alive'
    peer.epoch++
  }

  /** Everything comes along; the old name is nobody's. The operator's sidecar ends with its old name. */
  rename(peer: ModelPeer, name: string): void {
    this.end(peer, 'stopped')
    peer.formerly = peer.name
    peer.name = name
  }

  forget(peer: ModelPeer): void {
    this.peers.splice(this.peers.indexOf(peer), 1)
    this.forgotten.add(peer.name)
  }
}
