// Bundles the command (dist/cli.js and its lazily loaded chunks) and the sidecar (dist/sidecar.js).
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(root, 'dist')
const hooks = join(root, 'src', 'harness', 'claude-code', 'hooks')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Bundled CommonJS packages (pino, NATS) ask for `require`, which a module does not have. */
const requireBanner = "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);"

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  define: { MESH_VERSION: JSON.stringify(version) },
}

async function loadEsbuild() {
  try {
    return await import('esbuild')
  } catch (error) {
    // Installed without the development packages: what was built before serves.
    if (error.code === 'ERR_MODULE_NOT_FOUND' && existsSync(join(dist, 'cli.js'))) return null
    throw error
  }
}

function copyHooks() {
  if (!existsSync(hooks)) return
  const to = join(dist, 'hooks')
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(hooks).filter((file) => file.endsWith('.sh'))) copyFileSync(join(hooks, name), join(to, name))
}

/** Chunks of an earlier build that this one did not write. */
function sweep(outputs) {
  const fresh = new Set(Object.keys(outputs).map((path) => join(root, path)))
  for (const name of readdirSync(dist)) {
    const path = join(dist, name)
    if (name.endsWith('.js') && !fresh.has(path)) rmSync(path)
  }
}

const esbuild = await loadEsbuild()
if (esbuild) {
  const cli = await esbuild.build({
    ...common,
    entryPoints: { cli: 'src/cli/main.ts' },
    outdir: dist,
    splitting: true,
    chunkNames: 'cli-[name]-[hash]',
    metafile: true,
  })
  const outputs = { ...cli.metafile.outputs }
  if (existsSync(join(root, 'src', 'daemon', 'main.ts'))) {
    const sidecar = await esbuild.build({
      ...common,
      entryPoints: { sidecar: 'src/daemon/main.ts' },
      outdir: dist,
      banner: { js: requireBanner },
      metafile: true,
    })
    Object.assign(outputs, sidecar.metafile.outputs)
  }
  sweep(outputs)
  copyHooks()
}
