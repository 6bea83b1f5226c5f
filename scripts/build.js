// Bundles the command (dist/mesh.cjs), the MCP server (dist/mcp.cjs), the sidecar (dist/sidecar.cjs) and the supervisor
// (dist/supervisor.cjs). The first and the last two are run by scripts/loader.cjs, as cli.cjs, sidecar.js and
// supervisor.js: hooks that earlier versions installed know the sidecar by that name.
//
// All are CommonJS in one file: on Node 20 a command starts 3 ms faster so than as an ES module and 7 ms faster than
// one in chunks, and only a script can have a code cache. What is imported lazily is evaluated lazily all the same. Only
// what needs zod is a file of its own.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(root, 'dist')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Lazily imported modules that are too large for the command's file. They throw no MeshError of their own. */
const apart = { 'wire/json-schema.ts': 'json-schema.cjs', 'mcp/server.ts': 'mcp.cjs' }
/** Programs, each a process of its own: its bundle, and the name that it is started by. */
const programs = {
  'cli/main.ts': { bundle: 'mesh.cjs', start: 'cli.cjs' },
  'daemon/main.ts': { bundle: 'sidecar.cjs', start: 'sidecar.js' },
  'supervisor/main.ts': { bundle: 'supervisor.cjs', start: 'supervisor.js' },
}
/** Packages that would slow every command down. */
const heavy = /node_modules\/(zod|nats|@nats-io|@modelcontextprotocol)\//
/** Modules that a package asks for and mesh does not use, or not at a start. */
const stubs = {
  '@modelcontextprotocol/server/_shims': 'mcp-shims.js',
  '@nats-io/nkeys': 'nkeys.cjs',
  'node:tls': 'tls.cjs',
}

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  define: { MESH_VERSION: JSON.stringify(version), 'import.meta.dirname': '__dirname' },
  alias: Object.fromEntries(Object.entries(stubs).map(([name, file]) => [name, join(root, 'scripts', 'stubs', file)])),
  // The hook script is inlined.
  loader: { '.sh': 'text', '.bash': 'text', '.zsh': 'text', '.fish': 'text' },
  format: 'cjs',
  // A script that is no module cannot `import()`; what is apart is required, lazily all the same.
  supported: { 'dynamic-import': false },
  logOverride: { 'empty-import-meta': 'error' },
  metafile: true,
  write: false,
}

/** Null without the development packages when there is something built before, as in a package from the registry. */
async function loadEsbuild() {
  try {
    return await import('esbuild')
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    if (existsSync(join(dist, 'cli.cjs'))) return null
    installPackages()
    return import(esbuildPath())
  }
}

/** `npm install -g .` links a clone and runs `prepare`, but installs nothing into it. */
function installPackages() {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([key]) => !/^npm_(config_(global|prefix|omit|include|location)|command|lifecycle_\w+)$/i.test(key),
    ),
  )
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm']
  execFileSync(npm[0], [...npm.slice(1), 'ci', '--ignore-scripts', '--include=dev'], {
    cwd: root,
    env,
    stdio: 'inherit',
  })
}

/** This process remembers that it found none under its name. */
function esbuildPath() {
  return new URL('../node_modules/esbuild/lib/main.js', import.meta.url).href
}

const keepApart = {
  name: 'keep-apart',
  setup(build) {
    build.onResolve({ filter: /\.ts$/ }, ({ path, kind }) => {
      const found = kind === 'dynamic-import' && Object.keys(apart).find((name) => path.endsWith(name))
      return found ? { path: `./${apart[found]}`, external: true } : undefined
    })
  },
}

async function buildProgram(esbuild, path, { bundle, start }) {
  const isCommand = path.startsWith('cli/')
  const { metafile, outputFiles } = await esbuild.build({
    ...common,
    entryPoints: [`src/${path}`],
    outfile: join(dist, bundle),
    plugins: isCommand ? [keepApart] : [],
  })
  const found = Object.keys(metafile.inputs).filter((input) => heavy.test(input))
  if (isCommand && found.length > 0) throw new Error(`the command must not load ${found[0]}`)
  // The code cache names the bundle that it is of.
  const id = createHash('sha256').update(outputFiles[0].contents).digest('hex').slice(0, 32)
  place(join(dist, bundle), `//${id}\n${outputFiles[0].text}`)
  place(join(dist, start), readFileSync(join(root, 'scripts', 'loader.cjs')))
}

async function buildApart(esbuild) {
  for (const [path, file] of Object.entries(apart)) {
    const outfile = join(dist, file)
    const { outputFiles } = await esbuild.build({ ...common, entryPoints: [`src/${path}`], outfile })
    place(outfile, outputFiles[0].contents)
  }
}

/** Runs a command, which leaves a cache of what every command compiles. An earlier build's cache is not for this one. */
function buildCache() {
  rmSync(join(dist, 'cache'), { recursive: true, force: true })
  execFileSync(process.execPath, [join(dist, 'cli.cjs'), 'version'], { stdio: 'ignore' })
}

/** Whole or not at all: a command or a sidecar may be starting from the file right now. */
function place(path, contents) {
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, contents)
  renameSync(temporary, path)
}

/** Files of an earlier layout. */
function sweep() {
  const kept = new Set([
    ...Object.values(programs).flatMap(({ bundle, start }) => [bundle, start]),
    ...Object.values(apart),
    ...['package.json', 'cache', 'hooks'],
  ])
  const swept = readdirSync(dist).filter((name) => !kept.has(name) && !name.endsWith('.tmp'))
  for (const name of swept) rmSync(join(dist, name), { recursive: true })
}

const esbuild = await loadEsbuild()
if (esbuild) {
  place(join(dist, 'package.json'), '{ "type": "commonjs" }\n')
  const built = Object.entries(programs).map(([path, files]) => buildProgram(esbuild, path, files))
  await Promise.all([...built, buildApart(esbuild)])
  buildCache()
  sweep()
}
