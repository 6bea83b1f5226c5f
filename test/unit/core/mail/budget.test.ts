import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Budget, type BudgetStep, holdEvidence, holdNote } from '../../../../src/core/mail/budget.ts'
import { limits, times } from '../../../../src/wire/limits.ts'

const LIMIT = 3

/** A session that is told what happens, as its sidecar tells it. */
class Session {
  readonly journal: BudgetStep[] = []
  readonly budget = new Budget()
  #now = 1_000_000

  wait(ms: number): void {
    this.#now += ms
  }

  get now(): number {
    return this.#now
  }

  note(step: BudgetStep): void {
    this.journal.push(step)
    this.budget.apply(step)
  }

  send(to = 'bob'): void {
    this.#forget(to)
    this.note({ t: 'sent', to, at: this.#now })
  }

  /** True: held. */
  hear(from = 'bob', limit = LIMIT): boolean {
    this.#forget(from)
    const step = this.budget.hear(from, this.#now, limit)
    if (step) this.note(step)
    return step?.held ?? false
  }

  #forget(peer: string): void {
    if (this.budget.isStale(peer, this.#now)) this.note({ t: 'reset', with: peer })
  }

  /** One round of an exchange. True: the answer is held. */
  exchange(peer = 'bob'): boolean {
    this.send(peer)
    return this.hear(peer)
  }
}

const pairOf = (session: Session, peer = 'bob') => session.budget.counted().find((pair) => pair.with === peer)

describe('rounds', () => {
  test('a message counts only when something was sent since the last', () => {
    const session = new Session()
    expect([session.hear(), session.hear()]).toEqual([false, false])
    expect(session.journal).toEqual([])
    session.send()
    session.send()
    for (let i = 0; i < 10; i++) expect(session.hear()).toBe(false)
    expect(pairOf(session)?.rounds).toBe(1)
  })

  test('a message beyond the limit is held, and all after it, until a reset', () => {
    const session = new Session()
    for (let i = 0; i < LIMIT; i++) expect(session.exchange()).toBe(false)
    expect(session.budget.isHeld('bob')).toBe(false)
    session.send()
    session.wait(5)
    expect([session.hear(), session.hear()]).toEqual([true, true])
    expect(pairOf(session)).toMatchObject({ rounds: LIMIT, heldSince: 1_000_005 })
    session.note({ t: 'reset', with: 'bob' })
    expect([session.exchange(), session.budget.isHeld('bob')]).toEqual([false, false])
  })

  test('peers are counted apart; a reset may be for one or for all', () => {
    const session = new Session()
    for (const peer of ['bob', 'eve']) for (let i = 0; i < LIMIT; i++) session.exchange(peer)
    session.note({ t: 'reset', with: 'bob' })
    expect([session.exchange('bob'), session.exchange('eve')]).toEqual([false, true])
    session.note({ t: 'reset', with: null })
    expect(session.budget.counted()).toEqual([])
    expect(session.exchange('eve')).toBe(false)
  })

  test('an hour without a word begins anew, a word in either direction puts that off', () => {
    const session = new Session()
    for (let i = 0; i < LIMIT; i++) session.exchange()
    session.wait(times.loopSilence - 1)
    session.send()
    session.wait(times.loopSilence - 1)
    expect(session.hear()).toBe(true)
    session.wait(times.loopSilence)
    expect(session.hear()).toBe(false)
    expect(pairOf(session)?.rounds).toBe(1)
  })

  test('held peers are shown first, then the longest exchanges', () => {
    const session = new Session()
    for (let i = 0; i < 2; i++) session.exchange('two')
    session.exchange('one')
    for (let i = 0; i <= LIMIT; i++) session.exchange('held')
    expect(session.budget.counted().map((pair) => pair.with)).toEqual(['held', 'two', 'one'])
  })

  test('with too many peers the one silent longest is dropped, never a held one', () => {
    const session = new Session()
    for (let i = 0; i <= LIMIT; i++) session.exchange('held')
    for (let i = 0; i < limits.pairs + 10; i++) {
      session.wait(1)
      session.exchange(`p${i}`)
    }
    expect(session.budget.counted()).toHaveLength(limits.pairs)
    expect([session.budget.isHeld('held'), pairOf(session, 'p0')]).toEqual([true, undefined])
  })

  test('people and the model are notified once per hold', () => {
    const session = new Session()
    for (let i = 0; i <= LIMIT; i++) session.exchange()
    session.note({ t: 'told', with: 'bob', whom: 'people' })
    expect(session.budget.held()[0]?.notified).toEqual({ people: true, model: false })
    session.note({ t: 'reset', with: 'bob' })
    for (let i = 0; i <= LIMIT; i++) session.exchange()
    expect(session.budget.held()[0]?.notified).toEqual({ people: false, model: false })
  })
})

describe('properties', () => {
  const event = fc.oneof(
    fc.record({ do: fc.constant('send' as const), peer: fc.constantFrom('bob', 'eve') }),
    fc.record({ do: fc.constant('hear' as const), peer: fc.constantFrom('bob', 'eve') }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 60_000, times.loopSilence) }),
    fc.record({ do: fc.constant('reset' as const), peer: fc.constantFrom('bob', null) }),
  )

  test('without a person and without silence at most the limit gets through; a held peer stays held', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), fc.integer({ min: 1, max: 6 }), (events, limit) => {
        const session = new Session()
        // What got through as an answer since the last reset or silence, counted naively.
        const through = { bob: 0, eve: 0 }
        const sent = { bob: false, eve: false }
        const lastAt = { bob: -1, eve: -1 }
        const held = { bob: false, eve: false }
        const forget = (peer: 'bob' | 'eve') => {
          through[peer] = 0
          held[peer] = false
        }
        for (const one of events) {
          if (one.do === 'wait') session.wait(one.ms)
          if (one.do === 'reset') {
            session.note({ t: 'reset', with: one.peer })
            for (const peer of ['bob', 'eve'] as const) if (one.peer === null || one.peer === peer) forget(peer)
          }
          if (one.do !== 'send' && one.do !== 'hear') continue
          const peer = one.peer as 'bob' | 'eve'
          if (session.now - lastAt[peer] >= times.loopSilence) forget(peer)
          if (one.do === 'send') {
            session.send(peer)
            sent[peer] = true
            lastAt[peer] = session.now
            continue
          }
          const isHeld = session.hear(peer, limit)
          if (lastAt[peer] >= 0) lastAt[peer] = session.now
          if (held[peer]) expect(isHeld).toBe(true)
          held[peer] = isHeld
          if (!isHeld && sent[peer]) {
            through[peer]++
            sent[peer] = false
          }
          expect(through[peer]).toBeLessThanOrEqual(limit)
          if (isHeld) expect(through[peer]).toBe(limit)
        }
      }),
    )
  })

  test('a compacted journal means the same as the whole one', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        const session = new Session()
        for (const one of events) {
          if (one.do === 'wait') session.wait(one.ms)
          else if (one.do === 'reset') session.note({ t: 'reset', with: one.peer })
          else if (one.do === 'send') session.send(one.peer)
          else session.hear(one.peer, 2)
        }
        const whole = new Budget()
        for (const step of session.journal) whole.apply(step)
        expect(whole.steps(session.now)).toEqual(session.budget.steps(session.now))
        const again = new Budget()
        for (const step of JSON.parse(JSON.stringify(session.budget.steps(session.now)))) again.apply(step)
        for (const peer of ['bob', 'eve']) {
          const later = session.now + 1
          const stale = session.budget.isStale(peer, later)
          expect(again.isHeld(peer)).toBe(session.budget.isHeld(peer))
          if (!stale)
            expect(again.hear(peer, later, 2)?.held ?? false).toBe(session.budget.hear(peer, later, 2)?.held ?? false)
        }
      }),
    )
  })
})

test('a hold is described to sender, people and model', () => {
  expect(holdEvidence('bob', 20)).toBe('loop budget: 20 rounds with bob without a person; mesh inbox reads it')
  expect(holdNote([])).toBe('')
  const bob = { with: 'bob', rounds: 20, messages: 3 }
  expect(holdNote([bob])).toBe('3 of bob held after 20 rounds without a person: mesh inbox')
  expect(holdNote([bob, { ...bob, with: 'eve' }])).toContain('3 of bob and of 1 other held')
})
