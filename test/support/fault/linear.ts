/**
 * Is a history of concurrent calls linearizable: is there one order of them, in agreement with when each was made and
 * answered, in which each answer is right? Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993)
 * with Lowe's memory of what was tried.
 */

export interface Call<Input, Output> {
  input: Input
  /** Null: the outcome is unknown. It may have happened at any time after it was made, or not at all. */
  output: Output | null
  /** By one clock. */
  madeAt: number
  answeredAt: number
}

export interface Spec<State, Input, Output> {
  initial: State
  /** The state after the call, or null if that answer would be wrong. `output` null: whatever it does. */
  step(state: State, input: Input, output: Output | null): State | null
}

/** The calls in an order that explains every answer; null if there is none. */
export function explain<State, Input, Output>(
  calls: readonly Call<Input, Output>[],
  spec: Spec<State, Input, Output>,
): Call<Input, Output>[] | null {
  const tried = new Set<string>()
  const order: number[] = []
  const isPlaced = calls.map(() => false)
  const isAnswered = calls.map(({ output }) => output !== null)

  const search = (state: State): boolean => {
    const open = calls.flatMap((_, i) => (isPlaced[i] ? [] : [i]))
    if (open.every((i) => !isAnswered[i])) return true
    const key = `${isPlaced.map(Number).join('')} ${JSON.stringify(state)}`
    if (tried.has(key)) return false
    tried.add(key)
    // What was made after another was answered comes after it.
    const horizon = Math.min(...open.map((i) => (isAnswered[i] ? calls[i]!.answeredAt : Number.POSITIVE_INFINITY)))
    for (const i of open) {
      const { input, output, madeAt } = calls[i]!
      if (madeAt > horizon) continue
      const next = spec.step(state, input, output)
      if (next === null) continue
      isPlaced[i] = true
      order.push(i)
      if (search(next)) return true
      isPlaced[i] = false
      order.pop()
    }
    return false
  }
  return search(spec.initial) ? order.map((i) => calls[i]!) : null
}
