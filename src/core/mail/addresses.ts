/** Kinds of mail by its address (`to`). Pure. */

/** The role of the people at their shells. */
export const PEOPLE = 'operator'

/** True for mail without a position: a role's messages, and news that the sidecar makes by itself. */
export function isAside(to: string): boolean {
  return isOfRole(to) || isOwnMade(to)
}

/** True for mail of the sidecar's own making: ends of runs, and news of files. No peer can address anything so. */
export function isOwnMade(to: string): boolean {
  return isOfRun(to) || to.startsWith('file:')
}

/** True for mail made of a run's events. */
export function isOfRun(to: string): boolean {
  return to.startsWith('run:')
}

/** True for mail to the people, of which each of their shells has a copy. */
export function isOfPeople(to: string): boolean {
  return to === `role:${PEOPLE}`
}

/** True for a role's messages, which are settled by their takers record. */
export function isOfRole(to: string): boolean {
  return to.startsWith('role:')
}
