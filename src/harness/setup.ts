/** The set-up of clients: `mesh install` and `uninstall` write it, `mesh doctor` looks at it. */
export {
  hasAny,
  hookCommand,
  type Inspection,
  type InstalledPlace,
  inspectClaudeCode,
} from './claude-code/install/inspect.ts'
export {
  type Installed,
  installClaudeCode,
  installScript,
  permissionRules,
  refreshClaudeCode,
} from './claude-code/install/install.ts'
export {
  installModule,
  installPlugin,
  type ModuleInstalled,
  type PluginInstalled,
} from './claude-code/install/install-plugin.ts'
export { uninstallOf } from './claude-code/install/other-home.ts'
export { openSandbox, shutSandbox } from './claude-code/install/sandbox.ts'
export { transcriptFolders } from './claude-code/install/transcripts.ts'
export { type Place, uninstallClaudeCode } from './claude-code/install/uninstall.ts'
export { whySwitchedOff, whyTooOld } from './claude-code/install/why-no-module.ts'
