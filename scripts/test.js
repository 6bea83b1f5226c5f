// Runs every check of this repository, or the suites that are named: `node scripts/test.js [suite…]`.
// The last line is `N passed, N failed[, N skipped]`; the exit code tells whether anything failed.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { majors, nodeOf } from './node-versions.js'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** How many test files run at once. */
const suites = { unit: 2, integration: 3, e2e: 3, fault: 2, claude: 2, node: 1 }
/**
 * What is run on each supported Node besides the suites on the one at hand: one file of the command's, two supervised
 * runs, and a session of the real client from its start to its wake.
 */
const everywhere = [
  ['e2e', 'test/e2e/mail/messages.test.ts'],
  ['e2e', 'test/e2e/runs/run.test.ts', '^(output passes through|a detached run)'],
  ['claude', 'test/claude/life/session.test.ts', '\\((a|b|k)\\)'],
]

/** A session's environment must not reach what is tested; these configure the tests themselves. */
const session = /^(CLAUDE|ANTHROPIC|MESH_)/
const settings = /^MESH_(ENGINE|TEST_\w+|FAULT_\w+|CLAUDE_\w+)$/

const named = process.argv.slice(2)
const unknown = named.find((name) => !Object.hasOwn(suites, name))
if (unknown) {
  console.error(`no suite ${unknown}; there are ${Object.keys(suites).join(', ')}`)
  process.exit(2)
}

const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !session.test(key) || settings.test(key)))
// Asked for by name, these suites run at their full length.
if (named.includes('fault')) env.MESH_FAULT_FULL ??= '1'
if (named.includes('claude')) env.MESH_CLAUDE_FULL ??= '1'

const reports = mkdtempSync(join(tmpdir(), 'mesh-reports-'))
const total = { passed: 0, failed: 0, skipped: 0 }
let reported = 0

function run(title, command, args) {
  console.log(`\n== ${title}`)
  return spawnSync(command, args, { cwd: root, env, stdio: 'inherit' }).status === 0
}

function check(title, command, args) {
  const ok = run(title, command, args)
  if (!ok) total.failed++
  return ok
}

function bin(name) {
  return join(root, 'node_modules', '.bin', name)
}

function test(name) {
  const workers = `--maxWorkers=${suites[name]}`
  runTests(`tests: ${name}`, process.execPath, ['--project', name, '--passWithNoTests', workers])
  if (name === 'node') for (const major of majors.filter(isOther)) testOn(major)
}

/** Leaves out the Node at hand, which the other suites are run on, unless it is asked for by name. */
function isOther(major) {
  return named.length > 0 || !process.version.startsWith(`v${major}.`)
}

/** The build is the one that is there, made by whatever Node: it is what a user has after an upgrade of Node. */
function testOn(major) {
  const node = nodeOf(major)
  for (const [project, file, pattern] of everywhere) {
    const title = `Node ${major}: ${file}`
    runTests(title, node, ['--project', project, file, ...(pattern ? ['-t', pattern] : [])], !pattern)
  }
}

function runTests(title, node, args, countsSkipped = true) {
  const report = join(reports, `${reported++}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const ok = run(title, node, [vitest, 'run', ...args, ...reporters])
  const counts = count(report)
  // An error outside of any test, or no report at all.
  if (!ok && counts.failed === 0) counts.failed++
  // Those that a pattern leaves out count as skipped too.
  if (!countsSkipped) counts.skipped = 0
  for (const key of Object.keys(total)) total[key] += counts[key]
}

function count(report) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of readResults(report)) {
    if (file.status === 'failed' && file.assertionResults.every(({ status }) => status !== 'failed')) counts.failed++
    for (const { status } of file.assertionResults) {
      if (status === 'passed' || status === 'failed') counts[status]++
      else counts.skipped++
    }
  }
  return counts
}

function readResults(report) {
  try {
    return JSON.parse(readFileSync(report, 'utf8')).testResults
  } catch {
    return []
  }
}

run('shells', process.execPath, ['scripts/shells.js'])
const built = check('build', process.execPath, ['scripts/build.js'])
if (named.length === 0) {
  check('types', bin('tsc'), ['--noEmit'])
  check('lint', bin('biome'), ['check', '.'])
}
if (built) for (const name of named.length > 0 ? named : Object.keys(suites)) test(name)
rmSync(reports, { recursive: true, force: true })

const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`)
process.exitCode = total.failed === 0 ? 0 : 1
