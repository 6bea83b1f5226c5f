/** How a child session is started: its environment, its command line, and what is read of what it writes. */
import { describe, expect, test } from 'vitest'
import { childEnv, clientCommand, launchCommand } from '../../../../../src/harness/claude-code/spawn/launch.ts'
import { PrintStream } from '../../../../../src/harness/claude-code/spawn/print-stream.ts'

const launch = {
  client: 'claude',
  session: 's-1',
  name: 'kid',
  background: false,
  worktree: false,
  context: '',
  env: {},
}

describe('the environment of a child', () => {
  test('keeps what authenticates and configures the client, and nothing of the session that starts it', () => {
    const kept = {
      PATH: '/bin',
      HOME: '/home/ann',
      ANTHROPIC_API_KEY: 'k',
      ANTHROPIC_BASE_URL: 'u',
      CLAUDE_CONFIG_DIR: '/c',
      CLAUDE_CODE_OAUTH_TOKEN: 't',
      CLAUDE_CODE_USE_BEDROCK: '1',
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: '9',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      CLAUDE_CODE_SESSION_ACCESS_TOKEN: 'of a cloud session',
      MESH_HOME: '/m',
      MESH_ENGINE: '/e',
      MESH_PROJECT: 'p',
    }
    // As recorded in a shell, a hook, an MCP server and a background job of 2.1.329.
    const dropped = {
      CLAUDECODE: '1',
      AI_AGENT: 'a',
      CLAUDE_PID: '1',
      CLAUDE_EFFORT: 'medium',
      CLAUDE_ENV_FILE: '/f',
      CLAUDE_PROJECT_DIR: '/p',
      CLAUDE_PLUGIN_ROOT: '/r',
      CLAUDE_JOB_DIR: '/j',
      CLAUDE_BG_SESSION_CREDENTIAL: 'x',
      CLAUDE_CODE_CHILD_SESSION: '1',
      CLAUDE_CODE_CHILD_NOTES_DIR: '/n',
      CLAUDE_CODE_ENTRYPOINT: 'cli',
      CLAUDE_CODE_EXECPATH: '/x',
      CLAUDE_CODE_SESSION_ID: 'i',
      CLAUDE_CODE_SESSION_ATTENDED: '1',
      CLAUDE_CODE_MESSAGING_SOCKET: '/s',
      CLAUDE_CODE_MESSAGING_TOKEN: 't',
      CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS: 'i',
      MESH_SESSION: 'cc-1',
      MESH_NAME: 'parent',
      MESH_RUN_ID: 'r_1',
      MESH_LINEAGE: 'r_1',
    }
    expect(childEnv({ ...kept, ...dropped })).toEqual(kept)
  })
})

describe('the command line of a child', () => {
  test('is the client in PATH, else the one whose session calls', () => {
    const env = { CLAUDE_CODE_EXECPATH: '/home/ann/.claude/local/claude' }
    expect(clientCommand(env, () => true)).toBe('claude')
    expect(clientCommand(env, () => false)).toBe(env.CLAUDE_CODE_EXECPATH)
    expect(clientCommand({ CLAUDE_CODE_EXECPATH: '/usr/bin/node' }, () => false)).toBe('claude')
    expect(clientCommand({}, () => false)).toBe('claude')
  })

  test('is a print session with an id of our choice; no word of it can be taken for another flag', () => {
    const words = launchCommand({
      ...launch,
      worktree: true,
      model: '--version',
      permissionMode: 'plan',
      context: 'a\nb',
    })
    expect(words.slice(0, 4)).toEqual(['claude', '-p', '--output-format=stream-json', '--verbose'])
    expect(words.slice(4)).toEqual([
      '--session-id=s-1',
      '--name=kid',
      '--worktree=kid',
      '--model=--version',
      '--permission-mode=plan',
      '--append-system-prompt=a\nb',
    ])
  })

  test('in the background the environment goes in by settings: the process is the daemon’s', () => {
    const words = launchCommand({ ...launch, background: true, env: { MESH_RUN_ID: 'r_1' } })
    expect(words).toEqual(['claude', '--bg', '--settings={"env":{"MESH_RUN_ID":"r_1"}}', '--name=kid'])
  })
})

describe('what a print session writes', () => {
  const line = (value: object) => `${JSON.stringify(value)}\n`
  const says = (text: string) => ({ type: 'assistant', message: { content: [{ type: 'text', text }] } })
  const result = { type: 'result', subtype: 'success', is_error: false, result: 'fin', stop_reason: 'end_turn' }

  test('is words and tool calls for people, however it is cut, and the result', () => {
    const text = [
      line({ type: 'system', subtype: 'init', session_id: 'abc', cwd: '/w' }),
      line(says('héllo \u001b[31m')),
      line({ type: 'assistant', message: { content: [{ type: 'tool_use', name: 'Bash', input: { command: 'ls' } }] } }),
      line({ type: 'user', message: { content: [{ type: 'tool_result', content: [{ type: 'text', text: 'a b' }] }] } }),
      line({ ...says('of a subagent'), parent_tool_use_id: 't' }),
      'no event of the client\n',
      JSON.stringify(result),
    ].join('')
    const bytes = Buffer.from(text)
    for (const size of [1, 7, bytes.length]) {
      const stream = new PrintStream()
      let shown = ''
      for (let at = 0; at < bytes.length; at += size) shown += stream.read(bytes.subarray(at, at + size))
      shown += stream.end()
      expect(shown).toBe('héllo \\x1b[31m\n> Bash {"command":"ls"}\n< a b\nno event of the client\n')
      expect(stream.conversation).toEqual({ sessionId: 'abc', cwd: '/w' })
      expect(stream.result).toMatchObject({ result: 'fin', stop_reason: 'end_turn' })
    }
  })

  test('a line without end is passed on before it fills the memory', () => {
    const stream = new PrintStream()
    const chunk = Buffer.alloc(1024 * 1024, 'x')
    let shown = 0
    for (let i = 0; i < 20; i++) shown += stream.read(chunk).length
    expect(shown).toBeGreaterThan(15 * chunk.length)
  })
})
