import { expect, test, vi } from 'vitest'
import { MeshError } from '../../../src/errors.ts'
import { compareAndSet, isAway, untilAborted, untilFound, untilWritten } from '../../../src/link/until.ts'

/** A value that tells its changes, and who listens. */
class Source {
  value = 0
  readonly listeners = new Set<() => void>()

  readonly subscribe = (changed: () => void) => {
    this.listeners.add(changed)
    return () => void this.listeners.delete(changed)
  }

  set(value: number): void {
    this.value = value
    for (const listener of [...this.listeners]) listener()
  }
}

test('untilFound - a change that comes while it looks is seen, with no poll to rescue it', async () => {
  const source = new Source()
  let looks = 0
  const look = async () => {
    const { value } = source
    if (++looks === 1) source.set(1)
    await Promise.resolve()
    return value === 1 ? 'found' : null
  }
  const { signal } = new AbortController()
  expect(await untilFound(look, { subscribe: source.subscribe, signal })).toBe('found')
  expect(looks).toBe(2)
})

test('untilFound - it subscribes before it looks, and listens no more once it is over', async () => {
  const source = new Source()
  const look = () => {
    expect(source.listeners.size).toBe(1)
    return source.value || null
  }
  const found = untilFound(look, {
    subscribe: async (changed) => source.subscribe(changed),
    signal: new AbortController().signal,
  })
  await expect.poll(() => source.listeners.size).toBe(1)
  source.set(7)
  expect(await found).toBe(7)
  expect(source.listeners.size).toBe(0)
})

test('untilFound - a signal that is aborted already ends it after one look', async () => {
  const source = new Source()
  let looks = 0
  const look = () => {
    looks++
    return null
  }
  expect(await untilFound(look, { subscribe: source.subscribe, signal: AbortSignal.abort() })).toBeNull()
  expect(looks).toBe(1)
  expect(source.listeners.size).toBe(0)
})

test('untilFound - a signal that aborts during a look ends it, and so does one that aborts between looks', async () => {
  const source = new Source()
  for (const when of ['during', 'between']) {
    const controller = new AbortController()
    const look = async () => {
      if (when === 'during') controller.abort()
      else setImmediate(() => controller.abort())
      return null
    }
    expect(await untilFound(look, { subscribe: source.subscribe, signal: controller.signal })).toBeNull()
  }
})

test('untilFound - what nobody announces is found by the poll', async () => {
  let looks = 0
  const look = () => (++looks === 3 ? 'found' : null)
  const { signal } = new AbortController()
  expect(await untilFound(look, { subscribe: () => () => {}, signal, pollMs: 1 })).toBe('found')
})

test('untilFound - it stops listening when a look throws', async () => {
  const source = new Source()
  const look = () => {
    throw new MeshError('not_found', 'there is none')
  }
  const { signal } = new AbortController()
  await expect(untilFound(look, { subscribe: source.subscribe, signal })).rejects.toMatchObject({ code: 'not_found' })
  expect(source.listeners.size).toBe(0)
})

test('untilAborted - it settles on a signal that is aborted already, and on one that aborts later', async () => {
  expect(await untilAborted(AbortSignal.abort())).toBeNull()
  const controller = new AbortController()
  setImmediate(() => controller.abort())
  expect(await untilAborted(controller.signal)).toBeNull()
})

test('isAway - an engine that does not answer and one that is gone are away; a refusal is not', () => {
  expect(isAway(new MeshError('timeout', 'late'))).toBe(true)
  expect(isAway(new MeshError('mesh_down', 'gone'))).toBe(true)
  expect(isAway(new MeshError('conflict', 'no'))).toBe(false)
  expect(isAway(new Error('a bug'))).toBe(false)
})

test('untilWritten - it tries again after each loss, and gives up with a conflict', async () => {
  expect(await untilWritten('it', async (earlier) => (earlier === 3 ? 'won' : null))).toBe('won')
  vi.spyOn(Math, 'random').mockReturnValue(0)
  await expect(untilWritten('the thing', async () => null)).rejects.toMatchObject({
    code: 'conflict',
    message: 'the thing was changed by another writer at every try',
  })
  vi.restoreAllMocks()
})

/** A record of which each writer that comes from elsewhere wins against the next one here. */
class Contested {
  value: number | null = null
  revision = 0
  losses: number

  constructor(losses: number) {
    this.losses = losses
  }

  async look() {
    return { value: this.value, revision: this.revision, isThere: this.value !== null }
  }

  async update(_key: string, value: number, revision: number) {
    if (this.losses-- > 0) this.write(100)
    return revision === this.revision ? this.write(value) : null
  }

  write(value: number): number {
    this.value = (this.value ?? 0) > value ? this.value : value
    return ++this.revision
  }
}

test('compareAndSet - an edit is made of what is there when it is written', async () => {
  const record = new Contested(2)
  const result = await compareAndSet(record, 'key', ({ value }) => ({ write: (value ?? 0) + 1, result: value }))
  expect(record.value).toBe(101)
  expect(result).toBe(100)
})

test('compareAndSet - an edit that writes nothing leaves the record as it is', async () => {
  const record = new Contested(0)
  expect(await compareAndSet(record, 'key', () => ({ write: null, result: 'nothing' }))).toBe('nothing')
  expect(record.revision).toBe(0)
})

test('untilWritten - an engine whose answers are all lost is given up in seconds, not after a hundred tries', async () => {
  vi.useFakeTimers()
  try {
    let tries = 0
    const given = untilWritten('the list', async () => {
      tries++
      await new Promise((resolve) => setTimeout(resolve, 2000))
      return null
    })
    const refused = expect(given).rejects.toMatchObject({ code: 'timeout' })
    await vi.advanceTimersByTimeAsync(20_000)
    await refused
    expect(tries).toBeLessThan(8)
  } finally {
    vi.useRealTimers()
  }
})
