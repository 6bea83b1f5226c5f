/** The bytes of a URL, or what a program that fetches prints. A source that sends nothing for 10 s is given up. */
import { type SpawnOptions, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

const QUIET_MS = 10_000
/** A slow download goes on, but not for ever. */
const TOTAL_MS = 600_000
/** A release archive has about 7 MB. */
const MAX_BYTES = 64 * 1024 * 1024
const ERROR_CHARS = 64 * 1024

/** Fetches a URL as a program of its own: the body of the URL on standard output, or why there is none on standard error. */
const FETCH = `
const [url] = process.argv.slice(1)
try {
  const response = await fetch(url)
  if (!response.ok) throw new Error(new URL(url).host + ' answered ' + response.status)
  for await (const chunk of response.body) process.stdout.write(chunk)
} catch (error) {
  console.error(error.cause?.message ?? error.message)
  process.exitCode = 1
}`

/** V8's lite mode has no WebAssembly, without which Node's `fetch` throws: a sidecar has another process fetch. */
export function download(url: string, quietMs = QUIET_MS): Promise<Uint8Array> {
  if ('WebAssembly' in globalThis) return downloadHere(url, quietMs)
  const args = ['--input-type=module', '-e', FETCH, url]
  return runFetcher(process.execPath, args, {}, { source: new URL(url).host, quietMs })
}

async function downloadHere(url: string, quietMs: number): Promise<Uint8Array> {
  const { host } = new URL(url)
  const abort = new AbortController()
  const quiet = setTimeout(() => abort.abort(silence(host, quietMs)), quietMs)
  const total = setTimeout(() => abort.abort(new Error(`the download from ${host} took too long`)), TOTAL_MS)
  try {
    const response = await fetch(url, { signal: abort.signal })
    if (!response.ok || !response.body) throw new Error(`${host} answered ${response.status}`)
    const chunks = new Chunks()
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      quiet.refresh()
      chunks.add(chunk)
    }
    return chunks.all
  } finally {
    clearTimeout(quiet)
    clearTimeout(total)
  }
}

interface Watch {
  /** Named when nothing came. */
  source: string
  quietMs?: number
  /** True for a word on standard error after which the program itself sees to it that something comes. */
  isUnderWay?(words: string): boolean
}

/** Runs a program to its end and returns its standard output. Rejects with its standard error as `stderr`. */
export function runFetcher(
  command: string,
  args: readonly string[],
  options: SpawnOptions,
  { source, quietMs = QUIET_MS, isUnderWay = () => false }: Watch,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], timeout: TOTAL_MS })
    const [stdout, stderr] = [child.stdout as Readable, child.stderr as Readable]
    const chunks = new Chunks()
    let errors = ''
    const give = (error: Error) => {
      clearTimeout(quiet)
      child.kill('SIGKILL')
      reject(Object.assign(error, { stderr: errors }))
    }
    const quiet = setTimeout(() => give(silence(source, quietMs)), quietMs)
    stdout.on('data', (chunk: Uint8Array) => {
      quiet.refresh()
      try {
        chunks.add(chunk)
      } catch (error) {
        give(error as Error)
      }
    })
    stderr.setEncoding('utf8').on('data', (words: string) => {
      quiet.refresh()
      if (isUnderWay(words)) clearTimeout(quiet)
      errors = (errors + words).slice(-ERROR_CHARS)
    })
    child.once('error', give)
    child.once('close', (code) => {
      clearTimeout(quiet)
      if (code === 0) resolve(chunks.all)
      else give(new Error(errors.trim().split('\n').at(-1) || 'the download failed'))
    })
  })
}

class Chunks {
  readonly #chunks: Uint8Array[] = []
  #size = 0

  add(chunk: Uint8Array): void {
    this.#size += chunk.length
    if (this.#size > MAX_BYTES) throw new Error('the download is larger than any release')
    this.#chunks.push(chunk)
  }

  get all(): Uint8Array {
    return Buffer.concat(this.#chunks)
  }
}

function silence(source: string, ms: number): Error {
  return new Error(`${source} sent nothing for ${ms / 1000} s`)
}
