/**
 * The module of mesh in Claude Code (2.1.287 and later): the first door of a session. It asks the session's sidecar for
 * mail by a long poll on a Unix socket and hands it to the client. Whatever fails here costs the session nothing: the
 * sidecar sees the poll end and takes the next door.
 */

/** The mesh home and the user's id; `mesh install` writes them here. */
const HOME = null
const UID = null

/** `sun_path` is short; the sidecar uses the other place beyond it (src/host/home.ts). */
const SOCKET_BYTES = 100
const ANSWER_MS = 1000
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5000

let socketPath = null
/** `claude -p`: a request that is open holds it. So there is a poll during turns alone. */
let isOneShot = false
let isPolling = false
let isDismissed = false
/** The sidecar has mail for the running turn. */
let hasMail = false

const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** Returns the socket's path, which the sidecar makes of the same parts. Null in a client that names no process. */
const findSocket = async ($) => {
  const { CLAUDE_PID: pid } = await $.process.hookEnv()
  const asked = await $.env.get('MESH_HOME')
  const user = (await $.env.get('XDG_STATE_HOME')) || `${await $.env.get('HOME')}/.local/state`
  const home = asked?.startsWith('/') ? asked : (HOME ?? `${user}/mesh`)
  if (!pid) return null
  const path = `${home}/run/cc-${pid}/mod`
  if (new TextEncoder().encode(path).length <= SOCKET_BYTES) return path
  const hash = hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(path)))
  return UID === null ? null : `/tmp/mesh-${UID}/${hash.slice(0, 16)}.sock`
}

/** Resolves to the sidecar's answer. Rejects without one. */
const post = async ($, event) => {
  const body = JSON.stringify(event)
  const answer = await $.http.fetch('http://mesh/ev', { method: 'POST', socketPath, body })
  if (!answer.ok) throw new Error(`the sidecar said ${answer.status}`)
  return JSON.parse(answer.text)
}

/** Reports what nobody waits for. */
const report = ($, event) => post($, event).catch(() => {})

/** Asks during a turn, which goes on without an answer. */
const ask = ($, event) => Promise.race([post($, event), $.clock.sleep(ANSWER_MS)]).catch(() => {})

/** Starts a turn. The client resolves it once that turn began, or says that a person stopped the session. */
const submit = async ($, { id, text }) => {
  void report($, { ev: 'taken', id })
  try {
    const { drop } = await $.prompt.submit({ text })
    await report($, { ev: 'handed', id, drop })
  } catch (error) {
    await report($, { ev: 'refused', id, error: String(error) })
  }
}

/** Adds to the running turn, in the request behind the tools that have just ended. */
const append = async ($) => {
  hasMail = false
  const order = await ask($, { ev: 'batch' })
  if (order?.op !== 'append') return
  const { id, text } = order
  try {
    const { deny } = await $.session.append({ message: { type: 'user', content: [{ type: 'text', text }] } })
    void report($, { ev: 'handed', id, drop: deny })
  } catch (error) {
    void report($, { ev: 'refused', id, error: String(error) })
  }
}

const poll = async ($) => {
  isDismissed = false
  if (isPolling) return
  isPolling = true
  let pause = FIRST_PAUSE_MS
  while (!isDismissed) {
    try {
      const { ok, text } = await $.http.fetch('http://mesh/wait', { socketPath })
      if (!ok) throw new Error('no sidecar')
      pause = FIRST_PAUSE_MS
      const order = JSON.parse(text)
      if (order.op === 'exit') break
      if (order.op === 'submit') void submit($, order)
      if (order.op === 'mail') hasMail = true
    } catch {
      await $.clock.sleep(pause)
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
    }
  }
  isPolling = false
}

export const register = (on) => {
  on('session.start', async ($, e, next) => {
    const started = await next(e)
    socketPath = await findSocket($)
    isOneShot = !e.isInteractive
    if (socketPath && !isOneShot) void poll($)
    return started
  })

  on('turn.start', async ($, e, next) => {
    if (socketPath && !e.agentId) {
      void report($, { ev: 'turn.start' })
      void poll($)
    }
    return next(e)
  })

  on('classic.PostToolBatch', async ($, e, next) => {
    const ended = await next(e)
    if (hasMail && !e.agent_id) await append($)
    return ended
  })

  // What comes too late for the last request of the turn goes to the Stop hook, so that the turn goes on with it.
  on('classic.Stop', async ($, e, next) => {
    if (hasMail && !e.agent_id) await ask($, { ev: 'stop' })
    return next(e)
  })

  on('turn.complete', async ($, e, next) => {
    if (socketPath && !e.agentId) {
      hasMail = false
      isDismissed = isOneShot
      if (isOneShot) await ask($, { ev: 'bye' })
      else void report($, { ev: 'turn.complete', reason: e.reason })
    }
    return next(e)
  })

  on('session.end', async ($, e, next) => {
    isDismissed = e.reason !== 'clear'
    if (socketPath && isDismissed) await ask($, { ev: 'bye' })
    return next(e)
  })
}
