/** Reads the end of a turn from the hook that the client runs then. Pure. */
import type { TurnEnd } from '../../types.ts'
import { modelError } from '../transcript/end-record.ts'
import type { HookEvent } from './event.schema.ts'

export function turnEnd(name: 'Stop' | 'StopFailure', event: HookEvent | null | undefined): TurnEnd {
  const text = event?.last_assistant_message ?? null
  if (name === 'Stop') return { text, error: null }
  return { text: null, error: modelError(event?.error ?? 'unknown', text ?? '') }
}
