/** `mesh install`: Claude Code's settings get our hooks, or the client our plugin. */
import { join } from 'node:path'
import { sidecarPath } from '../../../client/spawn.ts'
import { findEngine } from '../../../engine/binary.ts'
import { installEngine } from '../../../engine/fetch.ts'
import { MeshError } from '../../../errors.ts'
import {
  type Installed,
  installClaudeCode,
  installModule,
  installPlugin,
  installScript,
  type ModuleInstalled,
  openSandbox,
  type PluginInstalled,
  permissionRules,
  refreshClaudeCode,
  shutSandbox,
} from '../../../harness/setup.ts'
import { readRepository } from '../../../host/repository/git.ts'
import { type Context, misuse, type Switches } from '../../command.ts'

/** The folder of the package; the built command is in `dist`. */
const packageDir = join(import.meta.dirname, '..')

type Flags = Switches<'project' | 'plugin' | 'script' | 'allow' | 'print'>

export async function run(context: Context<Flags>): Promise<undefined> {
  const { command, flags, env, home, cwd } = context
  const { project, plugin, allow, script, print: dryRun } = flags
  const alone = plugin ? '--plugin' : script ? '--script' : null
  if (alone && (project || (script && (allow || plugin)))) throw misuse(command, `${alone} goes alone`)
  const options = { env, home, sidecarPath, nodePath: process.execPath, ...{ allow, dryRun } }
  if (script) return showScript(context, installScript(options))
  if (plugin) {
    await showPlugin(context, await installPlugin({ ...options, packageDir }))
    if (allow) await showRules(context, installClaudeCode({ ...options, rulesOnly: true }))
  } else {
    const installed = installClaudeCode({ ...options, ...(project ? { project: cwd } : {}) })
    const module = project || dryRun ? null : await installModule({ ...options, packageDir })
    await show(context, installed, module)
  }
  if (dryRun) return
  await prepareEngine(context)
  offerSandbox(context)
  for (const path of refreshClaudeCode({ ...options, packageDir })) context.out.note(`brought up to date: ${path}`)
}

/** A session whose sandbox is on joins and hears; only a person may open it. */
function offerSandbox({ env, home, cwd, out }: Context): void {
  const shut = shutSandbox(env, home, readRepository(cwd)?.topLevel ?? cwd)
  if (!shut) return
  const cause = `${shut.path} turns Claude Code’s sandbox on: the model’s commands cannot reach mesh from it`
  out.note(`${cause}. To let them, merge ${openSandbox(home)}`)
}

/** Fetches the engine so that the first session need not wait. Without one, a session fetches it itself. */
async function prepareEngine({ env, home, out }: Context): Promise<void> {
  if (findEngine(env, home)) return
  out.note('there is no nats-server here yet: fetching one, about 7 MB')
  await installEngine(home, env, out.note).catch((error) => {
    const { message, hint } = MeshError.from(error)
    out.note(`${message} (${hint})`)
  })
}

async function showScript({ out }: Context, script: { path: string; changed: boolean }): Promise<undefined> {
  if (out.json) await out.value(script)
  else await out.line(`the script for hooks is ${script.path}`)
}

/** With JSON the first value says all. */
async function showRules({ flags, out }: Context<Flags>, { rulesAdded, settingsPath }: Installed): Promise<void> {
  const what = flags.print ? 'would be allowed' : 'allowed'
  if (!out.json && rulesAdded.length > 0)
    await out.line(`${what} without a dialog, in ${settingsPath}: ${rulesAdded.join(' ')}`)
}

async function show(context: Context<Flags>, installed: Installed, module: ModuleInstalled | null): Promise<void> {
  const { flags, out } = context
  const { settingsPath, changed, hooksAdded, rulesAdded, files, merged } = installed
  if (flags.print) return showFiles(out, files, [], `merged into ${settingsPath}:\n${JSON.stringify(merged, null, 2)}`)
  if (out.json) return void (await out.value({ settingsPath, changed, hooksAdded, rulesAdded, module }))
  const what = changed ? `mesh's hooks are in ${settingsPath}` : `mesh's hooks were in ${settingsPath} already`
  const whose = flags.project ? 'new Claude Code sessions in this repository' : 'new Claude Code sessions'
  await out.line(`${what}; ${whose} join by themselves`)
  if (module?.why) out.note(`without mesh's module in the client, which is no loss of mail: ${module.why}`)
  if (flags.project) out.note('this file is yours alone: it names paths of this machine, so keep it out of git')
  if (flags.allow) await showRules(context, installed)
  if (!flags.allow) await out.line(offer)
}

const offer = `optional: mesh install --allow lets the model run ${permissionRules.length} kinds of mesh commands without a dialog; with --print it lists them`

async function showPlugin({ flags, out }: Context<Flags>, plugin: PluginInstalled): Promise<void> {
  const { changed, installed, files } = plugin
  const commands = plugin.commands.map(commandLine)
  if (flags.print) return showFiles(out, files, commands)
  if (out.json) return void (await out.value({ changed, installed, commands }))
  if (installed) return void (await out.line('the plugin is installed; new Claude Code sessions join by themselves'))
  await out.line('the plugin is written, but there is no claude on PATH to install it; to do so, type')
  for (const line of commands) await out.line(`  ${line}`)
}

async function showFiles(
  out: Context['out'],
  files: Installed['files'],
  commands: string[],
  merged?: string,
): Promise<void> {
  if (out.json) return void (await out.value({ files, commands }))
  for (const { path, changed, text } of files) {
    await out.line(`${changed ? 'would write' : 'is as it should be:'} ${path} (${Buffer.byteLength(text)} bytes)`)
  }
  if (merged) await out.line(merged)
  for (const line of commands) await out.line(`would run ${line}`)
}

/** To be typed or copied: what the shell would read otherwise is quoted. */
export function commandLine(args: readonly string[]): string {
  return ['claude', ...args]
    .map((word) => (/^[\w@./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
}
