/**
 * How Node runs a sidecar: little memory before speed, since there is one per session and it mostly waits. Under
 * traffic 83 MB resident and 40 private become 55 and 17, for a tenth more CPU (Node 20); idle they do nothing.
 * Lite mode has no WebAssembly, so that `fetch` cannot be used (Node 20). Without `--no-jitless` it is slower still.
 */
export const sidecarFlags = ['--lite-mode', '--no-jitless'] as const

/**
 * The same for a run's supervisor, which needs no WebAssembly and must not have V8 say so: its standard error is the
 * command's.
 */
export const supervisorFlags = ['--lite-mode', '--no-expose-wasm'] as const
