/** What calls hear while the engine of a session is being fetched. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { meshHome } from '../../../src/host/home.ts'
import { createLogger } from '../../../src/host/log.ts'
import { Link } from '../../../src/link/link.ts'
import { makeScript, temporaryDir } from '../../support/engine.ts'

const searchPath = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/bin']
const temporary = temporaryDir()
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  temporary.remove()
})

/** One that is installed is taken. */
const isInstalled = searchPath.some((dir) => existsSync(join(dir, 'nats-server')))
test.skipIf(process.platform !== 'linux' || isInstalled)(
  'link - while an engine is fetched, that is what calls hear',
  async () => {
    let giveUp = (_: Error) => {}
    vi.stubGlobal('fetch', () => new Promise((_, reject) => (giveUp = reject)))
    makeScript(join(temporary.path, 'bin', 'npm'), 'exit 1')
    const link = new Link({
      home: meshHome({ MESH_HOME: join(temporary.path, 'home') }),
      env: { PATH: join(temporary.path, 'bin') },
      name: 'test',
      log: createLogger('silent', () => {}),
      open: async () => ({}),
      onUp: async () => {},
      onDown: () => {},
    })
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    const started = link.start()
    await vi.waitUntil(() => link.whyDown.includes('fetching'))
    await vi.advanceTimersByTimeAsync(8000)
    await started
    vi.useRealTimers()
    expect(link.whyDown).toBe('the engine is not running yet: fetching nats-server from the official release')
    expect(() => link.store).toThrow(link.whyDown)
    giveUp(new Error('no route'))
    await expect.poll(() => link.whyDown).toBe('the engine is not running')
    await link.stop()
  },
)
