/** Times as people read them. Pure. */

/** Returns how long ago `time` was, in one unit: `4s`, `12m`, `3h`, `9d`. */
export function ago(time: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000))
  if (Number.isNaN(seconds)) return '?'
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

/**
 * A time of ISO 8601 on the clock of this machine, or in UTC with a `Z`: `13:48:05` on the day of `now`, else with its
 * day, `Nov 30 13:48`. What is no time stays as it is.
 */
export function clock(time: string, now: number, utc: boolean): string {
  const at = new Date(time)
  if (Number.isNaN(at.getTime())) return time
  const [day, hours] = parts(at, utc)
  const [today] = parts(new Date(now), utc)
  const zone = utc ? 'Z' : ''
  if (day === today) return `${hours}${zone}`
  const [year, month, date] = day.split('-')
  const isThisYear = today.startsWith(`${year}-`)
  return isThisYear
    ? `${MONTHS[Number(month) - 1]} ${date} ${hours.slice(0, 5)}${zone}`
    : `${day} ${hours.slice(0, 5)}${zone}`
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `2026-11-30` and `13:48:05`. */
function parts(at: Date, utc: boolean): [day: string, hours: string] {
  const shifted = utc ? at : new Date(at.getTime() - at.getTimezoneOffset() * 60_000)
  const iso = shifted.toISOString()
  return [iso.slice(0, 10), iso.slice(11, 19)]
}
