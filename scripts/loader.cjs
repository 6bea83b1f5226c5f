// dist/cli.cjs: runs the command's bundle with V8's code cache, which saves 4 ms of compiling at every start.
// V8 takes a cache for any source of the same length, so the cache names its bundle. One that does not fit, or that
// another version of Node wrote, is left aside.
'use strict'
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { Script } = require('node:vm')

const ID_BYTES = 32
const path = join(__dirname, 'mesh.cjs')

/** Run by the build too, which makes the cache. */
function load() {
  const source = readFileSync(path, 'latin1')
  const parameters = 'exports, require, module, __filename, __dirname'
  return new Script(`(function (${parameters}) {${source}\n})`, { filename: path, cachedData: cacheOf(source) })
}

function cacheOf(source) {
  try {
    const cache = readFileSync(join(__dirname, 'mesh.cache'))
    const id = cache.toString('latin1', cache.length - ID_BYTES)
    return source.startsWith(`//${id}\n`) ? cache.subarray(0, -ID_BYTES) : undefined
  } catch {
    return undefined
  }
}

function run(script) {
  script.runInThisContext()(exports, require, module, path, __dirname)
}

if (process.env.MESH_BUILD_CACHE === undefined) run(load())
else {
  const script = load()
  process.on('exit', () => require('node:fs').writeFileSync(process.env.MESH_BUILD_CACHE, script.createCachedData()))
  run(script)
}
