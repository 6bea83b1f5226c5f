/** The member's signing key, and the pinned keys of the others. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { linkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir, readJson, readText, writeAtomic } from '../host/files.ts'
import type { Home } from '../host/home.ts'
import type { ProjectStore } from '../nats/project-store.ts'
import { isToken } from '../wire/names.ts'

/** The member of the embedded engine: one mesh home, one key. */
export const LOCAL_MEMBER = 'local'

/** Returns a session of this mesh home as a sender. */
export function localSender({ name, epoch }: { name: string; epoch: number }) {
  return { member: LOCAL_MEMBER, name, epoch }
}

const KEY_FILE_BYTES = 4096
const PINS_BYTES = 1024 * 1024
/** DER prefix of an Ed25519 public key (RFC 8410), before its 32 bytes. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** The member's private key; made on first use. Sidecars that race end up with the same one. */
export function memberKey(home: Home): KeyObject {
  const stored = readText(home.memberKey, KEY_FILE_BYTES) ?? create(home)
  try {
    return createPrivateKey(stored)
  } catch (cause) {
    throw new MeshError('denied', `${home.memberKey} is not a private key`, { cause })
  }
}

function create(home: Home): string {
  ensurePrivateDir(home.root)
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const draft = `${home.memberKey}.${process.pid}`
  writeAtomic(draft, pem)
  try {
    linkSync(draft, home.memberKey)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(draft)
  }
  return readText(home.memberKey, KEY_FILE_BYTES)!
}

/** Raw 32 bytes, base64url. */
export function publicKeyText(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length).toString('base64url')
}

/** Keys of members as first seen: a later other key is not believed. */
export class KeyRing {
  readonly #path: string
  readonly #pins = new Map<string, string>()
  readonly #keys = new Map<string, KeyObject>()

  constructor(home: Home, project: string, own: { member: string; key: KeyObject }) {
    const dir = join(home.projects, project)
    ensurePrivateDir(dir)
    this.#path = join(dir, 'pins.json')
    const stored = readJson(this.#path, PINS_BYTES)
    if (stored !== null && typeof stored === 'object') {
      for (const [member, key] of Object.entries(stored)) {
        if (isToken(member) && typeof key === 'string') this.#pins.set(member, key)
      }
    }
    this.#pins.set(own.member, publicKeyText(own.key))
  }

  keyOf(member: string): KeyObject | undefined {
    const known = this.#keys.get(member)
    const pin = this.#pins.get(member)
    if (known || !pin) return known
    const key = createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, Buffer.from(pin, 'base64url')]),
      format: 'der',
      type: 'spki',
    })
    this.#keys.set(member, key)
    return key
  }

  /** Pins a member's key if none is pinned. False: the offered key is another than the pinned one. */
  pin(member: string, key: string): boolean {
    const pinned = this.#pins.get(member)
    if (pinned !== undefined) return pinned === key
    this.#pins.set(member, key)
    writeAtomic(this.#path, JSON.stringify(Object.fromEntries(this.#pins), null, 2))
    return true
  }
}

/** Publishes the own key and pins those of the others. Returns members whose key is not the pinned one. */
export async function exchangeKeys(
  store: ProjectStore,
  ring: KeyRing,
  own: { member: string; key: KeyObject },
): Promise<string[]> {
  const mine = publicKeyText(own.key)
  const stored = await store.members.get(own.member)
  if (!stored) await store.members.update(own.member, { v: 1, kind: 'member', member: own.member, key: mine }, 0)
  const strangers: string[] = []
  for (const { value } of await store.members.all()) {
    if (!ring.pin(value.member, value.key)) strangers.push(value.member)
  }
  return strangers
}
