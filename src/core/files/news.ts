/** The news that two sessions get when one edits a file that the other edited or claims. Pure. */

/** The end of a path says most, the beginning of a reason. */
const PATH_CHARS = 44
const PATTERN_CHARS = 16
const WHY_CHARS = 24

export interface FileNews {
  /** Relative to the repository. */
  path: string
  /** The other session. */
  peer: string
  /** Both edited it, I edited what the other claims, or the other edited what I claim. */
  what: 'shared' | 'claimed-by-peer' | 'edited-by-peer'
  /** The claim. */
  claim?: { path: string; why?: string }
  /** The edit was made in another worktree than this session's. */
  elsewhere?: boolean
}

/** Returns one line: at most 60 tokens with the tag around it, unless names are long. */
export function fileNewsText({ path, peer, what, claim, elsewhere }: FileNews): string {
  const file = end(path, PATH_CHARS)
  const where = elsewhere ? ', in another worktree' : ''
  if (what === 'shared') return `${file}: ${peer} edits it too, in your worktree. Agree: mesh send ${peer} -- TEXT`
  if (what === 'edited-by-peer')
    return `${file}: ${peer} edited it${where}, though you claim it. To object: mesh send ${peer} -- TEXT`
  const as = claim === undefined || claim.path === path ? '' : ` with ${end(claim.path, PATTERN_CHARS)}`
  const why = claim?.why === undefined ? '' : `, "${beginning(claim.why.replaceAll('"', "'"), WHY_CHARS)}"`
  return `${file}: you edited it, but ${peer} claims it${as}${why}. Ask: mesh ask ${peer} -- TEXT`
}

function end(text: string, max: number): string {
  const chars = [...text]
  return chars.length > max ? `…${chars.slice(1 - max).join('')}` : text
}

function beginning(text: string, max: number): string {
  const chars = [...text]
  return chars.length > max ? `${chars.slice(0, max - 1).join('')}…` : text
}
