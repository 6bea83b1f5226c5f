/** The other end of a connection, as the kernel knows it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { endianness } from 'node:os'
import { expect, onTestFinished, test } from 'vitest'
import { findEnd, isPeer } from '../../../src/host/process/peer.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { noForeignUser } from '../../support/lab/foe.ts'

const linux = process.platform === 'linux'
const me = identifyProcess(process.pid)!
const NOBODY = 65_534
/** Says where it listens, and accepts. */
const SERVER = `require('net').createServer(() => {}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`

async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

function start(command: string, args: string[], options: object = {}): ChildProcess {
  const child = spawn(command, args, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'], detached: true, ...options })
  onTestFinished(() => void process.kill(-child.pid!, 'SIGKILL'))
  return child
}

async function portOf(child: ChildProcess): Promise<number> {
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  return Number(line.toString())
}

test('a process - its own connections, and no other process’s', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const socket = await dial((server.address() as AddressInfo).port)
  expect(await isPeer(socket, me)).toBe(true)
  expect(await isPeer(socket, { ...me, start: '1' })).toBe(false)
  const sleeper = start('sleep', ['600'])
  if (linux) expect(await isPeer(socket, identifyProcess(sleeper.pid!)!)).toBe(false)
  socket.destroy()
  expect(await isPeer(socket, me)).toBe(false)
})

test('a process - connections of one that it started are its own', async () => {
  const shell = start('/bin/sh', ['-c', '"$0" -e "$1"; true', process.execPath, SERVER])
  expect(await isPeer(await dial(await portOf(shell)), identifyProcess(shell.pid!)!)).toBe(true)
})

test('a process that cannot be seen from here - any of our user, and no other user’s', async () => {
  const elsewhere = { ...me, host: 'elsewhere' }
  const ours = start(process.execPath, ['-e', SERVER])
  expect(await isPeer(await dial(await portOf(ours)), elsewhere)).toBe(true)
  if (noForeignUser) return
  const theirs = start(process.execPath, ['-e', SERVER], { uid: NOBODY, gid: NOBODY })
  const socket = await dial(await portOf(theirs))
  expect(await isPeer(socket, elsewhere)).toBe(false)
  expect(await isPeer(socket, identifyProcess(theirs.pid!)!)).toBe(false)
})

test.skipIf(endianness() !== 'LE')('the kernel’s table - one end, once it is accepted', () => {
  const row = (ports: string, uid: number, inode: number) =>
    `  12: ${ports} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode} 1 0000000000000000 20 4 30 10 -1\n`
  const listening = row('0100007F:55F0 00000000:0000 0A', 0, 11)
  const ours = row('0100007F:BEE0 0100007F:55F0 01', 7, 12)
  const table = `  sl  local_address rem_address   st\n${listening}${ours}`
  expect(findEnd(table, 0x55f0, 0xbee0)).toBe(null)
  expect(findEnd(table + row('0100007F:55F0 0100007F:BEE0 01', 0, 0), 0x55f0, 0xbee0)).toBe(null)
  expect(findEnd(table + row('0100007F:55F0 0100007F:BEE0 06', 0, 13), 0x55f0, 0xbee0)).toBe(null)
  expect(findEnd(table + row('0200007F:55F0 0200007F:BEE0 01', 1000, 14), 0x55f0, 0xbee0)).toBe(null)
  const end = row('0100007F:55F0 0100007F:BEE0 01', 1000, 15)
  expect(findEnd(table + end, 0x55f0, 0xbee0)).toEqual({ uid: 1000, inode: '15' })
})
