/** What is true of a mailbox, in a few lines that know nothing of journals. */
import type { Surfaced } from '../../../../src/wire/envelope.schema.ts'

export interface Unread {
  id: string
  seq: number
  role: boolean
  handover: string | null
  repeat: boolean
}

/** What is true of a mailbox, with nothing of how it is kept. */
export interface MailState {
  unread: Unread[]
  read: string[]
  /** The end of the mail seen; roles come on another way. */
  high: number
}

export class MailModel {
  state: MailState = { unread: [], read: [], high: 0 }
  /** What the disk would have after each write, by the size of the file then. */
  kept: { size: number; state: MailState }[] = []
  record: Surfaced | null = null

  change(edit: (state: MailState) => void): void {
    this.state = structuredClone(this.state)
    edit(this.state)
  }

  knows(id: string): boolean {
    return this.state.read.includes(id) || this.state.unread.some((one) => one.id === id)
  }

  deliverable(): Unread[] {
    return this.state.unread.filter(({ handover }) => handover === null).toSorted((a, b) => a.seq - b.seq)
  }

  handovers(): string[] {
    return [...new Set(this.state.unread.flatMap(({ handover }) => handover ?? []))].sort()
  }

  /** After a crash nobody knows whether what was handed over was shown. */
  restart(size: number): void {
    this.state = structuredClone(this.kept.findLast((one) => one.size <= size)!.state)
    for (const one of this.state.unread) {
      if (one.handover !== null) Object.assign(one, { handover: null, repeat: true })
    }
  }
}
