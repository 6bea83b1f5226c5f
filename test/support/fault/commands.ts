/** What a random history is made of. */
import fc from 'fast-check'

export const PEERS = 3

/** How often each command comes, and the fields of it that count. */
const weights = {
  send: 18,
  reply: 4,
  read: 10,
  wait: 4,
  peek: 2,
  late: 4,
  kill: 4,
  engine: 2,
  topic: 2,
  role: 2,
  look: 2,
  stop: 1,
  rename: 1,
  forget: 1,
}

export interface Command {
  do: keyof typeof weights
  who: number
  to: number
  target: 'peer' | 'topic' | 'role' | 'all'
  /** Zero: the last message once more. */
  again: number
  /** Zero: the reader dies before it confirms. */
  confirm: number
  which: number
  limit: number
}

const kinds = Object.entries(weights).map(([kind, weight]) => ({
  weight,
  arbitrary: fc.constant(kind as Command['do']),
}))

export const command: fc.Arbitrary<Command> = fc.record({
  do: fc.oneof(...kinds),
  who: fc.nat(PEERS - 1),
  to: fc.nat(PEERS - 1),
  target: fc.constantFrom('peer', 'peer', 'peer', 'peer', 'topic', 'role', 'all'),
  again: fc.nat(4),
  confirm: fc.nat(3),
  which: fc.nat(3),
  limit: fc.integer({ min: 1, max: 4 }),
})
