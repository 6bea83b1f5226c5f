// Measures DESIGN's budgets: `node test/bench/run.js [--full] [--json] [--only row,row]`, after a build.
// The programs are TypeScript: they are bundled into a temporary directory, which also holds everything they start.
import { spawn } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const root = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-bench-')))
/** Bundled CommonJS packages (NATS) ask for `require`, which a module does not have. */
const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }

await build({
  absWorkingDir: here,
  entryPoints: ['main.ts', 'mail/latency.ts', 'board/board-inside.ts', 'scale/crowd.ts'],
  entryNames: '[name]',
  outdir: join(root, 'bench'),
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  banner,
  define: { MESH_VERSION: '"0.1.0"' },
  logLevel: 'warning',
})

/** NODE_EXTRA_CA_CERTS alone costs every start of Node 20 some 40 ms; the rest belongs to the session we run in. */
const foreign = /^(CLAUDE|ANTHROPIC|MESH_|NODE_EXTRA_CA_CERTS$|NODE_OPTIONS$)/
const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !foreign.test(key)))
const own = { MESH_BENCH_ROOT: root, MESH_BENCH_CHECKOUT: join(here, '..', '..') }
if (process.env.MESH_ENGINE) own.MESH_ENGINE = process.env.MESH_ENGINE

const args = [join(root, 'bench', 'main.mjs'), ...process.argv.slice(2)]
const child = spawn(process.execPath, args, { env: { ...env, ...own }, stdio: 'inherit' })
// A Ctrl-C reaches the child as well; it cleans up and ends, and then so do we.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.once('close', (code) => {
  rmSync(root, { recursive: true, force: true })
  process.exitCode = code ?? 1
})
