// In CI, installs the shells and the linter that the tests of shell scripts want and the machine lacks. Elsewhere those
// tests are skipped, and say so.
import { spawnSync } from 'node:child_process'

const INSTALL_MS = 180_000

const isMissing = (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0
const missing = ['dash', 'zsh', 'busybox', 'shellcheck'].filter(isMissing)
const canInstall = process.env.CI && process.getuid?.() === 0 && !isMissing('apt-get')
if (missing.length > 0 && canInstall) {
  const wanted = ['-qq', '-o', 'DPkg::Lock::Timeout=60']
  const install = ['install', '-y', '--no-install-recommends', ...missing]
  for (const command of [['update'], install]) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('apt-get', [...wanted, ...command], { env, stdio: ['ignore', 'ignore', 'inherit'], timeout: INSTALL_MS })
  }
}
const left = missing.filter(isMissing)
console.log(left.length > 0 ? `not here, so tests are skipped: ${left.join(', ')}` : 'all here')
