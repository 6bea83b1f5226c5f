// Other versions of Node than the one at hand, from the npm package `node`, into the user's cache:
// `node scripts/node-versions.js [VERSION…]` prints where each is, by default those that the tests want.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'

/** The supported majors, each in its newest version. */
export const majors = ['20', '22', '24', '26']
/** Two of one V8 version whose byte code differs. */
export const rivals = ['20.18.0', '20.20.2']

const cache = process.env.MESH_TEST_CACHE || join(homedir(), '.cache', 'sessionmesh-test')
const PROGRAM = join('node_modules', 'node', 'bin', 'node')

/** Returns the path of that Node, which is installed if need be. */
export function nodeOf(version) {
  const dir = join(cache, `node-${version}`)
  if (!existsSync(join(dir, PROGRAM))) install(version, dir)
  return join(dir, PROGRAM)
}

/** Whole or not at all: two runs of the tests may want the same one. */
function install(version, dir) {
  mkdirSync(cache, { recursive: true })
  const temporary = mkdtempSync(join(cache, 'node-'))
  try {
    const args = ['install', '--prefix', temporary, '--no-audit', '--no-fund', '--loglevel=error', `node@${version}`]
    execFileSync('npm', args, { cwd: temporary, stdio: ['ignore', 'ignore', 'inherit'] })
    execFileSync(join(temporary, PROGRAM), ['--version'], { stdio: 'ignore' })
    if (!existsSync(dir)) renameSync(temporary, dir)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

// The benchmark has this in its bundle.
if (basename(process.argv[1]) === 'node-versions.js') {
  const wanted = process.argv.slice(2)
  for (const version of wanted.length > 0 ? wanted : [...majors, ...rivals]) console.log(nodeOf(version))
}
