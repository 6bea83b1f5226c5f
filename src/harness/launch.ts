/** The command line and environment of a session that mesh starts. Loads nothing heavy: commands use it. */
export { childEnv, clientCommand, DONE_RULE, launchCommand, resultContext } from './claude-code/spawn/launch.ts'
