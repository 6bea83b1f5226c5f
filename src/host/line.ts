/** One line asked, one line answered, over a Unix socket of this machine. */
import { connect } from 'node:net'
import { MeshError } from '../errors.ts'

/** The answer's line; null when nobody answers. Throws `timeout` when somebody listens and does not answer in `ms`. */
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
