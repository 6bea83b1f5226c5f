/** Reads a stream by position with batched direct gets (nats-server 2.11+): no consumer is made. */
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { whileOpen } from './connect.ts'
import { isNotFound, toMeshError } from './errors.ts'

const PAGE = 1000
/** The client's own limit covers only the first message. */
const PAGE_TIMEOUT_MS = 5000

interface Engine {
  nc: NatsConnection
  jsm: JetStreamManager
}

/**
 * All messages of `stream` on `subject` from position `seq` on, oldest first; empty if there are none or no stream.
 * The callback form is used because the iterator form of @nats-io/jetstream 3.4.0 never ends its subscription.
 */
export async function readFrom(engine: Engine, stream: string, subject: string, seq = 1): Promise<StoredMsg[]> {
  const found: StoredMsg[] = []
  for (;;) {
    const page = await whileOpen(engine.nc, readPage(engine.jsm, stream, subject, seq))
    found.push(...page)
    if (page.length < PAGE) return found
    seq = page.at(-1)!.seq + 1
  }
}

async function readPage(jsm: JetStreamManager, stream: string, subject: string, seq: number): Promise<StoredMsg[]> {
  const page: StoredMsg[] = []
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish(new Error('connection too slow for reading')), PAGE_TIMEOUT_MS)
    const finish = (error?: Error) => {
      clearTimeout(timer)
      if (error && !isNotFound(error) && !/no results|message not found/i.test(error.message))
        reject(toMeshError(error))
      else resolve(page)
    }
    const callback = (done: { err?: Error } | null, message: StoredMsg) => {
      if (done) finish(done.err)
      else page.push(message)
    }
    jsm.direct.getBatch(stream, { next_by_subj: subject, seq, batch: PAGE, callback }).catch(finish)
  })
}
