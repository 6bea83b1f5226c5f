/** A client from the MCP project's own package that starts `mesh mcp`, and one that speaks by hand what a good one never would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { eventually, meshBin, type TestMesh } from './mesh.ts'

export interface ToolResult {
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the tool answered
  data: any
  isError: boolean
}

export interface CallOptions {
  signal?: AbortSignal
  onprogress?: (progress: { progress: number }) => void
}

export class McpClient {
  readonly client: Client
  readonly #transport: StdioClientTransport
  #stderr = ''

  private constructor(mesh: TestMesh, name: string, mode: 'legacy' | 'modern') {
    this.#transport = new StdioClientTransport({
      command: process.execPath,
      args: [meshBin, 'mcp'],
      cwd: mesh.cwd,
      env: mesh.env({ as: name }),
      stderr: 'pipe',
    })
    this.#transport.stderr?.on('data', (chunk) => {
      this.#stderr += String(chunk)
    })
    const versionNegotiation = { mode: mode === 'legacy' ? ('legacy' as const) : { pin: '2026-07-28' } }
    this.client = new Client({ name: 'conformance', version: '1' }, { capabilities: {}, versionNegotiation })
  }

  static async connect(mesh: TestMesh, name: string, mode: 'legacy' | 'modern' = 'legacy'): Promise<McpClient> {
    const client = new McpClient(mesh, name, mode)
    await client.client.connect(client.#transport)
    return client
  }

  /** The server's process. */
  get pid(): number {
    return this.#transport.pid!
  }

  get stderr(): string {
    return this.#stderr
  }

  async call(name: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<ToolResult> {
    const patience = { timeout: 120_000, resetTimeoutOnProgress: true }
    const result = await this.client.callTool({ name, arguments: args }, { ...patience, ...options })
    const content = result.content as { type: string; text: string }[]
    const text = content.map((block) => block.text).join('\n')
    return { text, data: result.structuredContent, isError: result.isError === true }
  }

  close(): Promise<void> {
    return this.client.close()
  }
}

type Json = { id?: unknown; result?: Record<string, unknown>; error?: { code: number; message: string } }

/** `mesh mcp` with a pipe to type into. */
export class RawMcp {
  readonly child: ChildProcess
  readonly answers: Json[] = []
  #rest = ''

  constructor(mesh: TestMesh, name: string, env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [meshBin, 'mcp'], {
      cwd: mesh.cwd,
      env: mesh.env({ as: name, env }),
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.child.stdin!.on('error', () => {})
    this.child.stdout!.setEncoding('utf8').on('data', (chunk: string) => this.#take(chunk))
  }

  #take(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop()!
    this.answers.push(...lines.map((line) => JSON.parse(line) as Json))
  }

  type(line: string): void {
    this.child.stdin!.write(`${line}\n`)
  }

  send(id: number | null, method: string, params: object = {}): void {
    this.type(JSON.stringify({ jsonrpc: '2.0', ...(id === null ? {} : { id }), method, params }))
  }

  initialize(): Promise<Json> {
    this.send(0, 'initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'raw', version: '1' },
    })
    return this.answer(0)
  }

  answer(id: number): Promise<Json> {
    return eventually(() => this.answers.find((answer) => answer.id === id), `the answer to ${id}`)
  }

  async end(): Promise<number | null> {
    this.child.stdin!.end()
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit')
    return this.child.exitCode
  }
}
