// Bundles the command (dist/cli.cjs, mesh.cjs, mesh.cache), the MCP server (dist/mcp.cjs) and the sidecar
// (dist/sidecar.js).
//
// The command is CommonJS in one file: on Node 20 that starts 3 ms faster than an ES module and 7 ms faster than one
// in chunks, and it can have a code cache. What a command imports lazily is evaluated lazily all the same. Only what
// needs zod is a file of its own.
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
/** What runs as a process of its own. */
const programs = { 'daemon/main.ts': 'sidecar.js', 'supervisor/main.ts': 'supervisor.js' }
/** Packages that would slow every command down. */
const heavy = /node_modules\/(zod|pino|nats|@nats-io|@modelcontextprotocol)\//

/** Bundled CommonJS packages (pino, NATS) ask for `require`, which a module does not have. */
const requireBanner =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);"

/** A process of its own is a module. */
const program = { format: 'esm', banner: { js: requireBanner } }

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  define: { MESH_VERSION: JSON.stringify(version) },
  // The hook script is inlined.
  loader: { '.sh': 'text' },
  metafile: true,
  write: false,
}

/** A script that is no module cannot `import()`; what is apart is required, lazily all the same. */
const commonJs = {
  format: 'cjs',
  supported: { 'dynamic-import': false },
  define: { ...common.define, 'import.meta.dirname': '__dirname' },
  logOverride: { 'empty-import-meta': 'error' },
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

async function buildCommand(esbuild) {
  const { metafile, outputFiles } = await esbuild.build({
    ...common,
    entryPoints: ['src/cli/main.ts'],
    outfile: join(dist, 'mesh.cjs'),
    ...commonJs,
    plugins: [keepApart],
  })
  const found = Object.keys(metafile.inputs).filter((path) => heavy.test(path))
  if (found.length > 0) throw new Error(`the command must not load ${found[0]}`)
  const id = createHash('sha256').update(outputFiles[0].contents).digest('hex').slice(0, 32)
  place(join(dist, 'mesh.cjs'), `//${id}\n${outputFiles[0].text}`)
  place(join(dist, 'cli.cjs'), readFileSync(join(root, 'scripts', 'loader.cjs')))
  buildCache(id)
}

/** Runs a command, so that the cache has what every command compiles. */
function buildCache(id) {
  const temporary = join(dist, `mesh.cache.${process.pid}.tmp`)
  const env = { ...process.env, MESH_BUILD_CACHE: temporary }
  execFileSync(process.execPath, [join(dist, 'cli.cjs'), 'version'], { env, stdio: 'ignore' })
  const cache = readFileSync(temporary)
  rmSync(temporary)
  place(join(dist, 'mesh.cache'), Buffer.concat([cache, Buffer.from(id)]))
}

async function buildModules(esbuild) {
  const modules = [
    ...Object.entries(apart).map(([path, file]) => ({ path, file, ...commonJs })),
    ...Object.entries(programs).map(([path, file]) => ({ path, file, ...program })),
  ]
  for (const { path, file, ...format } of modules) {
    const outfile = join(dist, file)
    const alias = { '@modelcontextprotocol/server/_shims': join(root, 'scripts', 'mcp-shims.js') }
    const { outputFiles } = await esbuild.build({ ...common, alias, ...format, entryPoints: [`src/${path}`], outfile })
    place(outfile, outputFiles[0].contents)
  }
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
  const kept = /^(cli\.cjs|mesh\.(cjs|cache)|(sidecar|supervisor)\.js|json-schema\.cjs|mcp\.cjs|hooks|.*\.tmp)$/
  for (const name of readdirSync(dist)) if (!kept.test(name)) rmSync(join(dist, name), { recursive: true })
}

const esbuild = await loadEsbuild()
if (esbuild) {
  await Promise.all([buildCommand(esbuild), buildModules(esbuild)])
  sweep()
}
