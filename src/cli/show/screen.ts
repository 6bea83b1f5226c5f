/** The terminal's second screen, for a listing that is drawn until somebody leaves it: what was there before comes back. */
import type { Output } from '../output.ts'

const ENTER = '\x1b[?1049h'
const LEAVE = '\x1b[?1049l'
/** In raw mode the terminal makes no signals of keys. */
const KEYS: Readonly<Record<string, () => void>> = {
  q: () => process.exit(0),
  '\x03': () => process.kill(process.pid, 'SIGINT'),
  '\x1a': () => process.kill(process.pid, 'SIGTSTP'),
}
const ENDS = { SIGTERM: 143, SIGHUP: 129 } as const

/** Runs `watch` on it where a person looks; `q` ends the command then. Errors are shown on the first screen. */
export async function onScreen<T>(out: Output, watch: () => Promise<T>): Promise<T> {
  if (out.json || !process.stdout.isTTY) return watch()
  const close = open()
  try {
    return await watch()
  } finally {
    close()
  }
}

/** Opens it. The function that it returns closes it; so does the end of the process. */
function open(): () => void {
  const { stdin, stdout } = process
  let isOpen = false
  const show = (open: boolean) => {
    if (isOpen === open) return
    isOpen = open
    stdout.write(open ? ENTER : LEAVE)
    if (stdin.isTTY) stdin.setRawMode(open)
  }
  const close = () => {
    show(false)
    stdin.pause()
  }
  process.once('exit', close)
  for (const [signal, code] of Object.entries(ENDS)) process.once(signal, () => process.exit(code))
  process.on('SIGCONT', () => show(true))
  if (stdin.isTTY)
    stdin.on('data', (typed) => {
      const key = typed.toString('latin1')
      if (key === '\x1a') show(false)
      KEYS[key]?.()
    })
  show(true)
  return close
}
