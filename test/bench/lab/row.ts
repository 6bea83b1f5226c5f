/** What the benchmark reports, and the statistics for it. */

export interface Row {
  what: string
  /** As text, with its unit. */
  measured: string
  anchor: string
  /** Measured over anchor; null where no ratio makes sense. */
  ratio: number | null
  budget: string
  /** Null: not measured here. */
  ok: boolean | null
  /** More figures of the same run, one per line. */
  details?: string[]
  /** The figures behind the text, for `--json`. */
  figures?: Record<string, unknown>
}

export interface Summary {
  n: number
  p10: number
  p50: number
  p90: number
  p99: number
  least: number
  most: number
}

export function summarize(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new Error('nothing was measured')
  const sorted = [...samples].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
  return {
    n: sorted.length,
    p10: at(0.1),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    least: sorted[0]!,
    most: sorted.at(-1)!,
  }
}

/** `12`, `1.2` or `0.12`: two or three digits that mean something. */
export function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

export function ms(value: number): string {
  return `${round(value)} ms`
}

/** `p10 1.1, p50 1.2, p90 1.9, p99 3.1 ms, n 200`. */
export function spread({ p10, p50, p90, p99, n }: Summary): string {
  return `p10 ${round(p10)}, p50 ${round(p50)}, p90 ${round(p90)}, p99 ${round(p99)} ms, n ${n}`
}

export function skipped(what: string, budget: string, why: string): Row {
  return { what, measured: `skipped: ${why}`, anchor: '-', ratio: null, budget, ok: null }
}

/** Rows as aligned columns; the last one is not padded. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  )
}
