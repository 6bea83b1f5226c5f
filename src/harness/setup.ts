/** The set-up of clients: what `mesh install` and `uninstall` write, and what `mesh doctor` looks at. */
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
  installPlugin,
  installScript,
  type PluginInstalled,
  permissionRules,
  refreshClaudeCode,
} from './claude-code/install/install.ts'
export { uninstallOf } from './claude-code/install/other-home.ts'
export { type Place, uninstallClaudeCode } from './claude-code/install/uninstall.ts'
