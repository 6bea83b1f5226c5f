/**
 * The setting `inbound`: what happens to messages of other sessions. A person sets it for all projects or one; a
 * repository's `.mesh.json` can only make it stricter, since it is not the person's own.
 */

/** From the most open to the strictest. */
export const inbounds = ['accept', 'hold', 'refuse'] as const
export type Inbound = (typeof inbounds)[number]

/** The setting by project id; `*` stands for all others. */
export type InboundSetting = Readonly<Record<string, Inbound>>

export const INBOUND_RULE = `must be ${inbounds.join(', ')}`

export function isInbound(value: unknown): value is Inbound {
  return inbounds.some((one) => one === value)
}

/** Returns the setting that a file has, as one word or as an object with one word per project; null for anything else. */
export function readInbound(value: unknown): InboundSetting | null {
  if (isInbound(value)) return { '*': value }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null
  return Object.values(value).every(isInbound) ? (value as InboundSetting) : null
}

/** Returns what applies in a project, whose own file may ask for more. */
export function inboundIn(setting: InboundSetting, project: string, asked: Inbound = 'accept'): Inbound {
  const own = Object.hasOwn(setting, project) ? setting[project]! : (setting['*'] ?? 'accept')
  return inbounds[Math.max(inbounds.indexOf(own), inbounds.indexOf(asked))]!
}
