/** The socket of a run: takes its own reports and others' requests. Only its user may open it. */
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { type RunAnswer, type RunRequest, runRequest } from '../api/supervisor.schema.ts'
import { MeshError } from '../errors.ts'
import { listenPrivately } from '../host/listen.ts'
import { parseJson } from '../wire/codec.ts'

const REQUEST_BYTES = 256 * 1024

/** Serves one request and one answer per connection until the returned function is called. */
export async function serveRun(
  path: string,
  answer: (request: RunRequest) => Promise<RunAnswer> | RunAnswer,
): Promise<() => void> {
  const server = createServer((socket) => {
    let text = ''
    socket.on('error', () => {})
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.length > REQUEST_BYTES) return socket.destroy()
      if (text.endsWith('\n')) void answerLine(text, answer).then((word) => socket.end(`${JSON.stringify(word)}\n`))
    })
  })
  await listenPrivately(server, path)
  return () => {
    server.close()
    rmSync(path, { force: true })
  }
}

async function answerLine(text: string, answer: (request: RunRequest) => Promise<RunAnswer> | RunAnswer) {
  try {
    const request = runRequest.safeParse(parseJson(Buffer.from(text)))
    if (!request.success) throw new MeshError('bad_request', `run: ${request.error.issues[0]?.message}`)
    return await answer(request.data)
  } catch (error) {
    return { error: MeshError.from(error).toBody() }
  }
}
