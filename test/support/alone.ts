/** A session that says nothing by itself, for a courier. */
export const alone = {
  loops: { note: () => null },
  context: { isDue: false, again: () => null },
  presence: { changed: () => {} },
  doing: { cause: null },
  poke: () => {},
  record: { name: 'web', session: 'one' },
  sender: { said: () => null },
}
