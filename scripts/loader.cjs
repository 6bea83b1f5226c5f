// dist/cli.cjs, dist/sidecar.js and dist/supervisor.js: runs the bundle of that name with V8's code cache, so that
// nothing has to be compiled at a start.
//
// V8 itself takes a cache for any source of the same length, from any Node of the same V8 version, and crashes where
// that Node's patches of V8 differ (20.18 and 20.20). So a cache names what it was made from and by, and one that names
// anything else is left aside. The first process that finds none makes it, at its end: a sidecar, which may be ended
// at any time, once it has started.
'use strict'
const fs = require('node:fs')
const { basename, extname, join } = require('node:path')
const { Script } = require('node:vm')

const ID_BYTES = 32
/** A start is over by then. */
const SETTLED_MS = 3000
/** V8's flags are part of a cache; these are the ones that mesh gives (src/host/process/node-flags.ts). */
const OURS = new Set(['--lite-mode', '--no-jitless', '--no-expose-wasm'])

const program = { cli: 'mesh' }[basename(__filename, extname(__filename))] ?? basename(__filename, '.js')
const path = join(__dirname, `${program}.cjs`)
const { arch, execArgv, platform, version, versions } = process
const mode = execArgv.includes('--lite-mode') ? 'lite' : 'full'
const file = `${program}-${version}-${platform}-${arch}-${mode}.cache`

// Latin1: the bundle is ASCII, and a string of single bytes takes half the memory.
const source = fs.readFileSync(path, 'latin1')
const id = ['', source.slice(2, 2 + ID_BYTES), version, versions.v8, platform, arch, mode].join('\n')
const cachedData = readCache()
const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
  filename: path,
  cachedData,
})
if ((cachedData === undefined || script.cachedDataRejected) && isPlain()) {
  if (program === 'sidecar') setTimeout(writeCache, SETTLED_MS).unref()
  else process.once('exit', writeCache)
}
script.runInThisContext()(exports, require, module, path, __dirname)

/** The second place is for a package that its user cannot write to. */
function places() {
  const home = homeDir()
  return [join(__dirname, 'cache'), ...(home ? [join(home, 'cache')] : [])]
}

/** Returns the mesh home, as src/host/home.ts has it. */
function homeDir() {
  const { HOME, MESH_HOME, XDG_STATE_HOME } = process.env
  if (MESH_HOME?.startsWith('/')) return MESH_HOME
  if (!HOME || platform === 'win32') return null
  if (platform === 'darwin') return join(HOME, 'Library', 'Application Support', 'mesh')
  return join(XDG_STATE_HOME || join(HOME, '.local', 'state'), 'mesh')
}

function readCache() {
  for (const dir of places()) {
    try {
      const cache = fs.readFileSync(join(dir, file))
      const length = cache.length - id.length
      if (cache.latin1Slice(length) === id && isTrusted(dir)) return cache.subarray(0, length)
    } catch {
      // None there.
    }
  }
  return undefined
}

/** A cache is code: only the user's own, or what came with the program. */
function isTrusted(dir) {
  if (platform === 'win32') return true
  const { uid, mode: bits } = fs.statSync(dir)
  return (uid === process.getuid() || uid === fs.statSync(__dirname).uid) && (bits & 0o022) === 0
}

/** With other flags V8 would not take the cache, and it would be made again at each start. */
function isPlain() {
  return !process.env.NODE_OPTIONS && execArgv.every((flag) => OURS.has(flag))
}

/** Whole or not at all, into the first place that takes it. */
function writeCache() {
  for (const dir of places()) {
    try {
      // No mesh home is made for it.
      if (fs.existsSync(join(dir, '..'))) fs.mkdirSync(dir, { mode: modeOf(dir), recursive: true })
      fs.accessSync(dir, fs.constants.W_OK)
      return replace(join(dir, file), Buffer.concat([script.createCachedData(), Buffer.from(id)]))
    } catch {
      // The next one.
    }
  }
}

/** The program is everybody's to read, the mesh home is its user's. */
function modeOf(dir) {
  return dir.startsWith(__dirname) ? 0o755 : 0o700
}

function replace(target, bytes) {
  const temporary = `${target}.${process.pid}.tmp`
  try {
    fs.writeFileSync(temporary, bytes, { mode: modeOf(target) & 0o666 })
    fs.renameSync(temporary, target)
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw error
  }
}
