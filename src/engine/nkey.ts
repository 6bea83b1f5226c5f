/**
 * The engine's only user: an nkey, so that the secret never crosses the wire. Done with node:crypto because the nkeys
 * package takes 6 to 8 ms to sign.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir, readText, writeNew } from '../host/files.ts'
import type { Home } from '../host/home.ts'
import { proveEngine } from './proof.ts'

/** nkeys: the first five bits of a user's public key spell U. */
const USER_PREFIX = 20 << 3
const RAW_KEY_BYTES = 32
const PEM_BYTES = 4096
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

export interface EngineUser {
  /** The nkey text form: U and 55 more characters. */
  publicKey: string
  /** Throws unless the engine of this home is at the other end of the connection: until then nothing is said. */
  prove(socket: Socket): Promise<void>
  /** The Ed25519 signature (64 bytes) over the server's nonce. */
  sign(nonce: Uint8Array): Uint8Array
}

/** The user that sidecars connect as; its key is made on first use. Throws `denied`, `store_full`. */
export function engineUser(home: Home): EngineUser {
  const path = keyPath(home)
  return userOf(home, readText(path, PEM_BYTES) ?? createKey(home, path))
}

/** Reads the user of `engineUser`; null where no key was made yet. */
export function knownEngineUser(home: Home): EngineUser | null {
  const path = keyPath(home)
  const pem = readText(path, PEM_BYTES)
  return pem === null ? null : userOf(home, pem)
}

function keyPath(home: Home): string {
  return join(home.engine, 'user.key')
}

function userOf(home: Home, pem: string): EngineUser {
  const key = parseKey(pem, keyPath(home))
  const raw = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-RAW_KEY_BYTES)
  return {
    publicKey: encodeUserKey(raw),
    prove: (socket) => proveEngine(home, socket),
    sign: (nonce) => sign(null, nonce, key),
  }
}

/** The name of the home's server. Ours alone: two homes on one machine have two keys. */
export function serverName(home: Home): string {
  return nameOf(engineUser(home))
}

/** The name of the server that knows this user. */
export function nameOf({ publicKey }: EngineUser): string {
  return `mesh-${publicKey.slice(1, 13).toLowerCase()}`
}

function parseKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new MeshError('denied', `${path} is not a private key`, {
      cause,
      hint: 'run mesh down, remove that file, then run mesh up',
    })
  }
}

function createKey(home: Home, path: string): string {
  ensurePrivateDir(home.root)
  ensurePrivateDir(home.engine)
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  writeNew(path, pem, { sync: true })
  return readText(path, PEM_BYTES) ?? pem
}

function encodeUserKey(raw: Uint8Array): string {
  const body = Buffer.concat([Buffer.of(USER_PREFIX), raw])
  const checksum = Buffer.alloc(2)
  checksum.writeUInt16LE(crc16(body))
  return base32(Buffer.concat([body, checksum]))
}

/** CRC-16/XMODEM: polynomial 0x1021, initial value 0, as nkeys has it. */
function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  }
  return crc
}

/** RFC 4648 without padding. */
function base32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    for (; bits >= 5; bits -= 5) text += BASE32.charAt((value >> (bits - 5)) & 31)
  }
  return bits > 0 ? text + BASE32.charAt((value << (5 - bits)) & 31) : text
}
