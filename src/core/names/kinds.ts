/** True for a person at a shell; false for an agent's session. `kind` is the `harness` of a names record. Pure. */
export function isShell(kind: string | undefined): boolean {
  return kind === 'shell'
}
