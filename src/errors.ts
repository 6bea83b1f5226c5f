/** The one error type of mesh and its code table. Codes, not classes, cross process borders. Pure. */

interface CodeInfo {
  /** HTTP status on the sidecar's local socket. */
  http: number
  /** Process exit code of the command line (the contract in README, "Exit codes"). */
  exit: number
  /** The next command to type, for errors that are thrown without a better one. */
  hint: string
}

const codes = {
  internal: { http: 500, exit: 1, hint: 'this is a bug in mesh; the sidecar log has the details' },
  bad_request: { http: 400, exit: 2, hint: 'see mesh --help' },
  bad_name: {
    http: 400,
    exit: 2,
    hint: 'a name is 1 to 64 of a-z 0-9 _ -, begins with a letter or digit; mesh ps lists the names in use',
  },
  too_large: { http: 413, exit: 2, hint: 'put the data in a file and send its path' },
  not_found: { http: 404, exit: 3, hint: 'mesh ps lists the sessions of this project' },
  conflict: { http: 409, exit: 4, hint: 'read the current state again, then retry' },
  name_taken: { http: 409, exit: 4, hint: 'mesh ps shows who has it' },
  not_alive: { http: 409, exit: 4, hint: 'mesh ps shows its last state' },
  mesh_down: { http: 503, exit: 5, hint: 'start the engine with: mesh up' },
  sidecar_down: { http: 503, exit: 5, hint: 'run any mesh command from a shell, or restart the session' },
  store_full: { http: 503, exit: 5, hint: 'free disk space; mesh status shows the data directory' },
  version_skew: { http: 426, exit: 5, hint: 'restart the session so that its sidecar is of this version' },
  sandboxed: {
    http: 503,
    exit: 5,
    hint: 'mesh doctor, outside of the sandbox, names the setting that lets mesh through',
  },
  denied: { http: 403, exit: 6, hint: 'mesh doctor shows what is wrong with the mesh home' },
  timeout: { http: 504, exit: 124, hint: 'the outcome is unknown; see: mesh trace ID' },
} as const satisfies Record<string, CodeInfo>

export type ErrorCode = keyof typeof codes

/** Distinguishes errors of one code where a program acts on the difference. */
const details = ['no_operation', 'not_reached', 'needs_consent'] as const
export type ErrorDetail = (typeof details)[number]

export interface ErrorBody {
  code: ErrorCode
  message: string
  hint: string
  detail?: ErrorDetail
}

export class MeshError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly detail: ErrorDetail | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; hint?: string | undefined; detail?: ErrorDetail | undefined } = {},
  ) {
    super(message, { cause: options.cause })
    this.name = 'MeshError'
    this.code = code
    this.hint = options.hint ?? codes[code].hint
    this.detail = options.detail
  }

  get http(): number {
    return codes[this.code].http
  }

  get exit(): number {
    return codes[this.code].exit
  }

  toBody(): ErrorBody {
    const { code, message, hint, detail } = this
    return { code, message, hint, ...(detail === undefined ? {} : { detail }) }
  }

  /** Reads an error that crossed the socket. An unknown code (a newer peer) reads as `internal`. */
  static fromBody(body: { code?: unknown; message?: unknown; hint?: unknown; detail?: unknown }): MeshError {
    const code =
      typeof body.code === 'string' && Object.hasOwn(codes, body.code) ? (body.code as ErrorCode) : 'internal'
    const hint = typeof body.hint === 'string' ? body.hint : undefined
    const detail = details.find((known) => known === body.detail)
    return new MeshError(code, typeof body.message === 'string' ? body.message : 'unknown error', { hint, detail })
  }

  /** Returns what `make` returns, or the MeshError that it throws. */
  static orValue<T>(make: () => T): T | MeshError {
    try {
      return make()
    } catch (error) {
      if (error instanceof MeshError) return error
      throw error
    }
  }

  static from(error: unknown): MeshError {
    if (error instanceof MeshError) return error
    const message = error instanceof Error ? error.message : String(error)
    return new MeshError('internal', message, { cause: error })
  }
}
