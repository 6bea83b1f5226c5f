/** Finds hooks of another mesh home in settings: two mesh homes of one user must not replace each other's unasked. */
import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { MeshError } from '../../../errors.ts'
import type { Home } from '../../../host/home.ts'
import { homeOfLine, quoteWord } from '../hooks/entries.ts'
import { isObject, type Json } from './settings-file.ts'
import { marketplaceName, moduleMarketplace, ourCommands } from './settings-merge.ts'

/** Returns the other mesh home that hooks or the plugin in these settings name; null if none does. */
export function otherHome(settings: Json, home: Home): string | null {
  const named = [...ourCommands(settings).map(homeOfLine), homeOfPlugin(settings)]
  return named.find((root) => root !== null && root !== home.root) ?? null
}

/** Returns the command that takes the hooks of another mesh home out. */
export function uninstallOf(other: string): string {
  return `MESH_HOME=${quoteWord(other)} mesh uninstall`
}

/** Throws `conflict` where an existing other mesh home has its hooks. Those of a home that is gone do nothing. */
export function refuseOther(path: string, settings: Json, home: Home, then = ''): void {
  const other = otherHome(settings, home)
  if (other === null || !existsSync(other)) return
  throw new MeshError('conflict', `the hooks in ${path} are of another mesh home, ${other}: sessions join that one`, {
    hint: `to take them out: ${uninstallOf(other)}${then}`,
  })
}

/** The client keeps the folder that the plugin's marketplace was added from, which is in the mesh home. */
function homeOfPlugin({ extraKnownMarketplaces: markets }: Json): string | null {
  const places = [marketplaceName, moduleMarketplace].map((name) => (isObject(markets) ? markets[name] : null))
  const paths = places.map((market) => {
    const source = isObject(market) ? market.source : null
    return isObject(source) ? source.path : source
  })
  const path = paths.find((one) => typeof one === 'string' && /^claude-code(-module)?$/.test(basename(one)))
  return typeof path === 'string' ? dirname(path) : null
}
