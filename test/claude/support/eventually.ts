/** Waiting for conditions: tests never wait for durations. */

const STEP_MS = 20
const CEILING_MS = 30_000

/** Polls until `condition` gives something truthy and returns that. Errors in it count as not yet. */
export async function eventually<T>(
  what: string | (() => string),
  condition: () => T | Promise<T>,
  ceilingMs: number = CEILING_MS,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = Date.now() + ceilingMs
  let last: unknown
  while (Date.now() < deadline) {
    try {
      const value = await condition()
      if (value) return value as NonNullable<Exclude<T, false>>
      last = value
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, STEP_MS))
  }
  const name = typeof what === 'string' ? what : what()
  throw new Error(`not within ${ceilingMs} ms: ${name} (last: ${String(last)})`)
}
