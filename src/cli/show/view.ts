/**
 * Decides how a listing is shown. On a terminal it fits the width, folds what is over and has the times of this machine; piped it
 * is complete: every column and row, whole, with times in ISO 8601, so that it does not depend on who looks.
 */
import type { FlagSet, Switches } from '../command.ts'
import { clock } from './time.ts'

export const viewFlags = {
  utc: ['--utc', 'times in UTC instead of those of this machine'],
  verbose: ['-v, --verbose', 'all columns, whole texts, and what mesh knows inside'],
} as const satisfies FlagSet

export type ViewFlags = Switches<'utc' | 'verbose'>

export interface View {
  readonly now: number
  /** Columns that a table may take: those of the terminal; infinite for a pipe. */
  readonly width: number
  /** Width of a line of prose, which --verbose shows whole. */
  readonly lineWidth: number
  readonly isScreen: boolean
  /** Show everything: always so for a pipe. */
  readonly full: boolean
  readonly utc: boolean
}

const USUAL_WIDTH = 80
const CLEAR = '\x1b[H\x1b[2J'

export function viewOf({ utc, verbose }: ViewFlags, now: number): View {
  const { isTTY, columns } = process.stdout
  const isScreen = isTTY === true
  const width = isScreen ? columns || USUAL_WIDTH : Number.POSITIVE_INFINITY
  const lineWidth = verbose ? Number.POSITIVE_INFINITY : width
  return { now, width, lineWidth, isScreen, full: !isScreen || verbose === true, utc: utc === true }
}

/** A view of what one command did: with whole lines, and the times of this machine. */
export function wholeView(now: number): View {
  return viewOf({ utc: undefined, verbose: true }, now)
}

/** Clears the screen and fills it with as many lines as it has rows for. */
export function screenOf(lines: readonly string[]): string {
  const room = (process.stdout.rows ?? Number.POSITIVE_INFINITY) - 2
  const shown = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… and ${lines.length - room + 1} more`]
  return CLEAR + shown.join('\n')
}

/** A time as this view shows it. */
export function timeIn(view: View, time: string): string {
  if (!view.isScreen) return time
  return clock(time, view.now, view.utc)
}
