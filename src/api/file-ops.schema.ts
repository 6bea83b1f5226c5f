/** The operations of claims on files. Part of the operations table. Pure. */
import * as z from 'zod/mini'
import { claimWhy } from '../wire/files.schema.ts'
import { limits, times } from '../wire/limits.ts'

/** Bounded where it is read: it may be absolute, and named in an error. */
const somePath = z.string().check(z.maxLength(16_384))
const paths = z
  .array(somePath)
  .check(z.minLength(1, 'name one'), z.maxLength(limits.claimPaths, `at most ${limits.claimPaths}`))
/** The directory that relative paths start from; by default the top of the session's worktree. */
const cwd = z.optional(somePath)
const time = z.string()

const claim = z.object({
  /** Relative to the repository. */
  path: z.string(),
  holder: z.string(),
  mine: z.boolean(),
  since: time,
  /** When it expires, as things stand. */
  until: time,
  /** Why it expires early. */
  because: z.nullable(z.string()),
  why: z.nullable(z.string()),
})
export type ShownClaim = z.output<typeof claim>

export const fileOps = {
  claim: {
    about:
      'Claim files, so that other sessions keep off: paths below the repository, * and ** as wildcards, a folder stands for all in it. All of them or none. Advisory: an edit all the same is not stopped, but both sessions are notified. Again: longer.',
    tool: { effect: 'changes', words: true },
    isLarge: true,
    opens: 'files',
    request: z.object({
      paths,
      cwd,
      forMs: z.optional(
        z.int().check(z.minimum(1000, 'at least 1s'), z.maximum(times.fileClaimMost, 'at most 7 days')),
      ),
      why: z.optional(claimWhy),
    }),
    response: z.array(claim),
  },
  claims: {
    about: 'The claims on files of this repository, or those that a path would meet.',
    tool: { effect: 'reads', words: true },
    request: z.object({ path: z.optional(somePath), cwd }),
    response: z.array(claim),
  },
  release: {
    about: 'Give claims on files back: those on these paths, or all of this session here.',
    tool: { effect: 'changes', words: true },
    isLarge: true,
    opens: 'files',
    request: z.object({ paths: z.optional(paths), cwd, all: z.optional(z.boolean()) }),
    response: z.array(z.object({ path: z.string() })),
  },
} as const
