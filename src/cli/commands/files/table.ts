/** The commands of claims on files. Data; the code loads when it runs. */
import type { CommandInfo } from '../../flags.ts'

export const fileCommands: readonly CommandInfo[] = [
  {
    name: 'claim',
    args: '<...path>',
    about:
      'claim files of this repository, all or none (* and ** are wildcards, a folder is all in it). Advisory: nothing stops who edits all the same, but both are told',
    flags: ['forTime', 'why'],
    examples: ['mesh claim src/parser --for 2h --why "new grammar"', 'mesh claim package.json "docs/**/*.md"'],
    load: () => import('./claim.ts'),
  },
  {
    name: 'claims',
    args: '[path]',
    about: 'list the claims on files of this repository, or those that a path would meet',
    examples: ['mesh claims', 'mesh claims src/parser/lexer.ts --json'],
    load: () => import('./claims.ts'),
  },
  {
    name: 'release',
    args: '[...path]',
    about: 'give claims on files back',
    flags: ['allClaims'],
    examples: ['mesh release src/parser', 'mesh release --all'],
    load: () => import('./release.ts'),
  },
]
