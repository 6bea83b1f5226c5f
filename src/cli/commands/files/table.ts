/** The commands of claims on files. */
import { define } from '../../command.ts'
import { viewFlags } from '../../show/view.ts'

export const fileCommands = [
  define({
    name: 'claim',
    args: '<...path>',
    about:
      'claim files of this repository, all or none (* and ** are wildcards, a folder means everything in it). Advisory: mesh does not stop an edit of a claimed file, it notifies both sessions',
    flags: {
      for: ['--for <time>', 'how long: 30m, 2h … (default: 1h)'],
      why: ['--why <text>', 'the reason, for those who meet the claim'],
      ...viewFlags,
    },
    examples: ['mesh claim src/parser --for 2h --why "new grammar"', 'mesh claim package.json "docs/**/*.md"'],
    load: async () => (await import('./claims.ts')).claim,
  }),
  define({
    name: 'claims',
    reads: 'own',
    args: '[path]',
    about: 'list the claims on files of this repository, or those that a path would meet',
    flags: viewFlags,
    examples: ['mesh claims', 'mesh claims src/parser/lexer.ts --json'],
    load: async () => (await import('./claims.ts')).list,
  }),
  define({
    name: 'release',
    args: '[...path]',
    about: 'give claims on files back',
    flags: { all: ['--all', 'every claim of yours in this repository'] },
    examples: ['mesh release src/parser', 'mesh release --all'],
    load: async () => (await import('./claims.ts')).release,
  }),
]
