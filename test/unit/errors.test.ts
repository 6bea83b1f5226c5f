import { describe, expect, test } from 'vitest'
import { type ErrorCode, MeshError } from '../../src/errors.ts'

/** CLI.md, "Exit codes and error codes"; STYLE.md §3 for HTTP. */
const contract: Record<ErrorCode, [exit: number, http: number]> = {
  internal: [1, 500],
  bad_request: [2, 400],
  bad_name: [2, 400],
  too_large: [2, 413],
  not_found: [3, 404],
  conflict: [4, 409],
  name_taken: [4, 409],
  not_alive: [4, 409],
  mesh_down: [5, 503],
  sidecar_down: [5, 503],
  store_full: [5, 503],
  version_skew: [5, 426],
  sandboxed: [5, 503],
  denied: [6, 403],
  timeout: [124, 504],
}

describe.each(Object.entries(contract))('%s', (code, [exit, http]) => {
  const error = new MeshError(code as ErrorCode, 'no')

  test('has the exit code and status of the contract', () => {
    expect([error.exit, error.http]).toEqual([exit, http])
  })

  test('has a hint of one line', () => {
    expect(error.hint).toMatch(/^[^\n]{5,120}$/)
  })

  test('survives the way over a socket', () => {
    const there = MeshError.fromBody(JSON.parse(JSON.stringify(error.toBody())))
    expect(there.toBody()).toEqual(error.toBody())
    expect(there.exit).toBe(exit)
  })
})

test.each(['later_code', '__proto__', 'constructor', 'toString', 5, null, undefined, {}])(
  'code %j reads as internal',
  (code) => {
    const error = MeshError.fromBody({ code, message: 'm', hint: 'h' })
    expect(error.toBody()).toEqual({ code: 'internal', message: 'm', hint: 'h' })
  },
)

test('a body without words still makes an error', () => {
  expect(MeshError.fromBody({ code: 'denied', message: 5, hint: [] })).toMatchObject({
    code: 'denied',
    message: 'unknown error',
  })
})

test('foreign errors become internal with their cause, own errors stay', () => {
  const cause = new TypeError('x is not a function')
  expect(MeshError.from(cause)).toMatchObject({ code: 'internal', message: cause.message, cause })
  expect(MeshError.from('text')).toMatchObject({ code: 'internal', message: 'text', cause: 'text' })
  const own = new MeshError('denied', 'no')
  expect(MeshError.from(own)).toBe(own)
})

test('a given hint replaces the usual one', () => {
  expect(new MeshError('not_found', 'no', { hint: 'look elsewhere' }).hint).toBe('look elsewhere')
})
