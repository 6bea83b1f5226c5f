/** Every kind on the wire, for `mesh schema`. Pure. */
import { envelope, memberRecord, nameRecord, presence, receipt, surfaced, taker } from './envelope.schema.ts'
import { fileClaims, fileEdits } from './files.schema.ts'
import { runEvent, runRecord } from './run.schema.ts'
import { stateDocument, statePointer } from './state.schema.ts'
import { task } from './task.schema.ts'

export const wireKinds = {
  message: envelope,
  receipt,
  name: nameRecord,
  presence,
  surfaced,
  taker,
  member: memberRecord,
  task,
  file_claims: fileClaims,
  file_edits: fileEdits,
  run_event: runEvent,
  run: runRecord,
  state: statePointer,
  state_document: stateDocument,
} as const
