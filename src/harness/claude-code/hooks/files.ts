/** Names that the hook script, the settings lines and the sidecar share. */

/** In the mesh home's `hooks`. */
export const SCRIPT_NAME = 'claude-code.sh'
/** In the session directory: the client watches it, and what lies in it wakes an idle session. */
export const WATCHED_FILE = 'wake'
/** In the session directory: the paths that the client is to watch, as JSON, for a hook that gives them again. */
export const WATCH_PATHS_FILE = 'watch-paths'
/** In the session directory: a text of mesh's own that the next prompt takes along. */
export const LEFT_FILE = 'left'
/**
 * The script's exit code once it gave the wake's text. Not 2, because sh exits 2 by itself when something is missing.
 */
export const WAKE_EXIT = 42
