/** Sends one line over a Unix socket of this machine and returns the line that answers it. */
import { connect } from 'node:net'
import { MeshError } from '../errors.ts'

/** Returns the answer's line; null when no process listens. Throws `timeout` when one listens and does not answer in `ms`. */
export function askLine(path: string, text: string, ms: number): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let read = ''
    const socket = connect(path, () => socket.write(`${text}\n`))
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new MeshError('timeout', `no answer in ${ms} ms`))
    }, ms)
    socket.on('error', () => {})
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      read += chunk
    })
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(read.endsWith('\n') ? read : null)
    })
  })
}
