/** Asks a port who answers on it, and whether our engine there takes our key. Starts and changes nothing. */
import { connect } from 'node:net'
import type { EngineUser } from './nkey.ts'
import { HOST } from './port.ts'

const PROBE_MS = 2000
const MOST_BYTES = 64 * 1024

/**
 * `ours`: the server of that name took the key. `refused`: that server did not. `stranger`: a NATS server of another
 * name, or something else that talks. `foreign`: what talks is not the engine's process, whatever it says; it was not
 * answered. `silent`: a connection, but no word. `closed`: no process listens.
 */
export type Answer = 'ours' | 'refused' | 'stranger' | 'foreign' | 'silent' | 'closed'

/** The NATS client protocol by hand: INFO with a nonce, CONNECT with its signature, PING, and PONG or -ERR. */
export function probeEngine(port: number, name: string, user: EngineUser): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port })
    let connected = false
    let text = ''
    let greeted = false
    let asked = false
    const finish = (answer: Answer) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const ask = () => {
      const nonce = nonceOf(text, name)
      if (nonce === null) return finish('stranger')
      asked = true
      text = ''
      socket.write(`CONNECT ${connectOptions(user, nonce)}\r\nPING\r\n`)
    }
    const timer = setTimeout(() => finish(connected ? 'silent' : 'closed'), PROBE_MS)
    socket.setEncoding('utf8')
    socket.once('connect', () => {
      connected = true
    })
    socket.on('data', (chunk: string) => {
      text += chunk
      if (text.length > MOST_BYTES) return finish('stranger')
      if (asked) {
        if (/^PONG/m.test(text)) finish('ours')
        else if (/^-ERR/m.test(text)) finish('refused')
      } else if (text.includes('\n') && !greeted) {
        greeted = true
        void user.prove(socket).then(ask, () => finish('foreign'))
      }
    })
    socket.once('error', () => finish('closed'))
    socket.once('close', () => finish(asked ? 'refused' : connected ? 'stranger' : 'closed'))
  })
}

/** The nonce of our server's greeting; null for any other. */
function nonceOf(text: string, name: string): string | null {
  try {
    const info = JSON.parse(/^INFO (\{.*\})/.exec(text)?.[1] ?? '') as { server_name?: unknown; nonce?: unknown }
    return info.server_name === name && typeof info.nonce === 'string' ? info.nonce : null
  } catch {
    return null
  }
}

function connectOptions(user: EngineUser, nonce: string): string {
  const sig = Buffer.from(user.sign(Buffer.from(nonce))).toString('base64url')
  return JSON.stringify({ nkey: user.publicKey, sig, verbose: false, pedantic: false, lang: 'mesh', protocol: 1 })
}
