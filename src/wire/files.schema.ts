/** Claims on files and who edited one, as the engine keeps them: tolerant of unknown fields. Pure. */
import * as z from 'zod/mini'
import { limits } from './limits.ts'
import { isPath } from './paths.ts'
import { projectPattern } from './subjects.ts'
import { actor } from './task.schema.ts'

const time = z.iso.datetime().check(z.maxLength(40))

/** Relative to the repository, with / between folders. */
export const claimPath = z.string().check(z.maxLength(limits.claimPath), z.refine(isPath, 'not a path'))
/** The reason for a claim. */
export const claimWhy = z
  .string()
  .check(z.minLength(1, 'it is empty'), z.maxLength(limits.taskReason, `at most ${limits.taskReason} characters`))

export const fileClaim = z.object({
  path: claimPath,
  holder: actor,
  since: time,
  /** By the claimant's clock. */
  until: time,
  why: z.optional(claimWhy),
})
export type FileClaim = z.output<typeof fileClaim>

/** All claims on the files of one repository, in the claims bucket: overlapping paths need one compare-and-set. */
export const fileClaims = z.object({
  v: z.literal(1),
  kind: z.literal('file_claims'),
  claims: z.array(fileClaim).check(z.maxLength(limits.fileClaims)),
})

/** The sessions that edited a file of a worktree lately, in the edits bucket under a hash of both. */
export const fileEdits = z.object({
  v: z.literal(1),
  kind: z.literal('file_edits'),
  by: z.array(z.extend(actor, { at: time })).check(z.maxLength(limits.fileEditors)),
})
export type FileEdits = z.output<typeof fileEdits>

const hash = z.string().check(z.regex(/^[0-9a-f]{16}$/))

/** The text of an `edited` message, as JSON: its sender edited a file that the recipient edited too, or claims. */
export const fileEdited = z.object({
  path: claimPath,
  repository: z.string().check(z.regex(projectPattern)),
  /** A hash of host and directory. */
  worktree: hash,
  /** The recipient's. */
  claim: z.optional(z.object({ path: claimPath })),
})
export type FileEdited = z.output<typeof fileEdited>
