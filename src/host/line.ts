/** Sends one line over a Unix socket of this machine and returns the line that answers it. */
import { MeshError } from '../errors.ts'
import { connectPrivately } from './listen.ts'

/**
 * Returns the answer's line; null when no process listens. Throws `timeout` when one listens and does not answer in `ms`,
 * `denied` when it may be another user's.
 */
export function askLine(path: string, text: string, ms: number): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let read = ''
    const socket = connectPrivately(path)
    socket.once('connect', () => socket.write(`${text}\n`))
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new MeshError('timeout', `no answer in ${ms} ms`))
    }, ms)
    socket.on('error', (error) => {
      if (error instanceof MeshError) reject(error)
    })
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      read += chunk
    })
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(read.endsWith('\n') ? read : null)
    })
  })
}
