/** How claims on files are shown to people. */
import type { Response } from '../../../api/ops.schema.ts'
import { columns, oneLine } from '../../input/units.ts'

export function claimLines(claims: Response<'claims'>): string[] {
  if (claims.length === 0) return ['no claims']
  const rows = claims.map(({ path, holder, until, because, why, mine }) => {
    const falls = because === null ? until : `${until} (${because})`
    return [path, mine ? `${holder} (you)` : holder, falls, why ?? ''].map(oneLine)
  })
  return columns([['PATH', 'HOLDER', 'UNTIL', 'WHY'], ...rows])
}
