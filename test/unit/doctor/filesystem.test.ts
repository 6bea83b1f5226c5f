/** Doctor names a file system that can do less than mesh needs. */
import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Setup } from '../../../src/doctor/setup.ts'
import { meshHome } from '../../../src/host/home.ts'
import { temporaryDir } from '../../support/engine.ts'

const lacks = vi.hoisted(() => ({ links: false, sockets: false }))
const refused = (code: string) => Object.assign(new Error(code), { code })

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const linkSync = (from: string, to: string) => {
    if (lacks.links) throw refused('EPERM')
    fs.linkSync(from, to)
  }
  return { ...fs, linkSync }
})
vi.mock('node:net', async (original) => {
  const net = await original<typeof import('node:net')>()
  const createServer = () => {
    const server = net.createServer()
    const refuse = () => {
      server.emit('error', refused('ENOTSUP'))
      return server
    }
    if (lacks.sockets) server.listen = refuse
    return server
  }
  return { ...net, createServer }
})
const { lookAtFileSystem } = await import('../../../src/doctor/checks/filesystem.ts')

let temporary: ReturnType<typeof temporaryDir>
beforeEach(() => {
  temporary = temporaryDir()
  Object.assign(lacks, { links: false, sockets: false })
})
afterEach(() => temporary.remove())

async function look() {
  const home = meshHome({ MESH_HOME: temporary.path })
  const operator = () => {
    throw new Error('nobody is asked')
  }
  const env = { HOME: temporary.path }
  const found = await lookAtFileSystem(new Setup({ env, cwd: temporary.path, home, operator, wake: false }))
  expect(readdirSync(temporary.path)).toEqual([])
  return found
}

test('file system - one that can do all is not worth a word', async () => {
  expect(await look()).toEqual([])
})

test.each([
  ['links', 'hard links'],
  ['sockets', 'sockets'],
] as const)('file system - one without %s is named, with another place for the mesh home', async (what, words) => {
  lacks[what] = true
  expect(await look()).toMatchObject([
    {
      check: 'home.filesystem',
      ok: false,
      detail: expect.stringContaining(`has no ${words}`),
      fix: expect.stringMatching(/^export MESH_HOME=.* && mesh install$/),
    },
  ])
})
