/** The commands that set mesh up, look after it, and take it away. */
import { define } from '../../command.ts'

const engine = () => import('./engine.ts')

export const setupCommands = [
  define({
    name: 'up',
    about: 'start the engine',
    examples: ['mesh up'],
    load: async () => (await engine()).up,
  }),
  define({
    name: 'down',
    about: "stop the engine and the operators' sidecars",
    examples: ['mesh down'],
    load: async () => (await import('./down.ts')).run,
  }),
  define({
    name: 'status',
    about: 'show whether the engine runs, and where: exit 0 if it does, else 5',
    examples: ['mesh status', 'mesh status --json'],
    load: async () => (await engine()).status,
  }),
  define({
    name: 'doctor',
    about: 'find what is wrong with the set-up, and how to mend it; exit 0 only if nothing is',
    flags: {
      fix: ['--fix', 'mend what needs no decision of yours, and look again'],
      wake: ['--wake', 'have the model read a short message, which proves a way in'],
    },
    examples: ['mesh doctor', 'mesh doctor --fix', 'mesh doctor --json', 'mesh doctor --wake'],
    load: async () => (await import('./doctor.ts')).run,
  }),
  define({
    name: 'orphans',
    about: 'list processes of mesh that serve no session any more',
    flags: { end: ['--end', 'end them: SIGTERM, and SIGKILL after 3 s'] },
    examples: ['mesh orphans', 'mesh orphans --end'],
    load: async () => (await import('./orphans.ts')).run,
  }),
  define({
    name: 'install',
    about: "join every Claude Code session of this user: adds mesh's hooks to the settings",
    flags: {
      project: ['--project', "only for this repository: its settings.local.json instead of the user's settings"],
      plugin: ['--plugin', 'as a plugin of the client instead of lines in its settings'],
      script: ['--script', 'only the script that the hooks call, for a plugin that the client fetched by itself'],
      allow: ['--allow', 'also let the model run the commands that read and talk without a dialog'],
      print: ['--print', 'show what would be written, and where; write nothing'],
    },
    examples: ['mesh install', 'mesh install --print', 'mesh install --project', 'mesh install --plugin'],
    load: async () => (await import('./install.ts')).run,
  }),
  define({
    name: 'uninstall',
    about: 'take mesh out of Claude Code again, wherever it was installed',
    examples: ['mesh uninstall'],
    load: async () => (await import('./uninstall.ts')).run,
  }),
  define({
    name: 'completion',
    args: '<shell>',
    about: 'print the script that makes bash, zsh or fish complete commands, flags and names',
    examples: [
      'mesh completion bash >> ~/.bashrc',
      'mesh completion zsh > ~/.zfunc/_mesh',
      'mesh completion fish | source',
    ],
    load: async () => (await import('./completion.ts')).run,
  }),
  define({
    name: 'mcp',
    about: 'serve MCP on standard input and output, for a client that starts it',
    examples: ['mesh mcp'],
    load: async () => (await import('./mcp.ts')).run,
  }),
  define({
    name: 'demo',
    about: 'show in half a minute what mesh does, on a mesh of its own',
    examples: ['mesh demo'],
    load: async () => (await import('../demo/demo.ts')).run,
  }),
  define({
    name: 'engine which',
    about: 'show the nats-server that mesh uses',
    examples: ['mesh engine which --json'],
    load: async () => (await engine()).which,
  }),
  define({
    name: 'engine install',
    about: 'fetch the pinned nats-server now',
    examples: ['mesh engine install'],
    load: async () => (await engine()).install,
  }),
  define({
    name: 'engine run',
    about: 'run the engine in the foreground, for a service manager',
    examples: ['mesh engine run'],
    load: async () => (await engine()).foreground,
  }),
  define({
    name: 'project allow',
    args: '[project]',
    about: 'let this repository join the project that its .mesh.json names',
    examples: ['mesh project allow'],
    load: async () => (await import('./project-allow.ts')).run,
  }),
  define({
    name: 'schema',
    about: 'print the JSON Schema of everything on the wire',
    examples: ['mesh schema > mesh.schema.json'],
    load: async () => (await import('./about.ts')).schema,
  }),
  define({
    name: 'version',
    about: 'print the version',
    examples: ['mesh version', 'mesh version --json'],
    load: async () => (await import('./about.ts')).printVersion,
  }),
]
