/** Properties of install and uninstall, over settings of any content and layout. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { permissionRules } from '../../../../../src/harness/claude-code/install/install.ts'
import { cleanUp, install, prepare, read, settings, uninstall, useUser, write } from './lab.ts'

useUser()

/** Each run is a few files that are fsynced. */
const CEILING_MS = 60_000

const command = fc.record({ type: fc.constant('command'), command: fc.string() })
const entry = fc.record({ matcher: fc.string(), hooks: fc.array(command) }, { requiredKeys: ['hooks'] })
const events = fc.constantFrom('SessionStart', 'Stop', 'PreToolUse', 'PostToolBatch', 'Other', '__proto__')
const someSettings = fc.oneof(
  fc.record(
    {
      hooks: fc.dictionary(events, fc.array(entry, { maxLength: 3 })),
      permissions: fc.record(
        { allow: fc.array(fc.oneof(fc.string(), fc.constantFrom(...permissionRules))), deny: fc.array(fc.string()) },
        { requiredKeys: [] },
      ),
      enabledPlugins: fc.dictionary(fc.string(), fc.boolean()),
      env: fc.dictionary(fc.string(), fc.string()),
      more: fc.jsonValue(),
    },
    { requiredKeys: [] },
  ),
)
const indents = fc.constantFrom(undefined, 2, 4, '\t')
const layout = fc.record({ indent: indents, crlf: fc.boolean(), end: fc.constantFrom('', '\n', '\n\n', '  ') })
const fileText = fc.tuple(someSettings, layout).map(([value, { indent, crlf, end }]) => {
  const text = JSON.stringify(value, null, indent) + end
  return crlf ? text.replaceAll('\n', '\r\n') : text
})
const steps = fc.array(
  fc.record({ allow: fc.boolean(), sidecarPath: fc.constantFrom('/a/sidecar.js', '/b/sidecar.js') }),
  {
    minLength: 1,
    maxLength: 3,
  },
)

async function inFreshHome(body: () => Promise<void>): Promise<void> {
  cleanUp()
  prepare()
  await body()
}

test('uninstall after any installs is the identity on bytes', { timeout: CEILING_MS }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.option(fileText), steps, async (text, installs) => {
      await inFreshHome(async () => {
        if (text !== null) writeFileSync(settings, text)
        for (const step of installs) install(step)
        await uninstall()
        expect(existsSync(settings) ? readFileSync(settings, 'utf8') : null).toBe(text)
        expect((await uninstall()).changed).toBe(false)
      })
    }),
    { numRuns: 40 },
  )
})

/** A change of the settings by another program, which knows nothing of mesh. */
const edit = fc.oneof(
  fc.record({ set: fc.constantFrom('model', 'theme'), value: fc.jsonValue() }),
  fc.record({ event: events.filter((event) => event !== '__proto__'), entry }),
  fc.record({ rule: fc.string().filter((rule) => !permissionRules.includes(rule)) }),
)
type Edit = { set: string; value: unknown } | { event: string; entry: object } | { rule: string }

interface Settings {
  [key: string]: unknown
  hooks?: Record<string, object[]>
  permissions?: { allow?: string[] }
}

function apply(settings: Settings, edits: readonly Edit[]): Settings {
  for (const one of edits) {
    if ('set' in one) settings[one.set] = one.value
    else if ('event' in one) {
      settings.hooks ??= {}
      settings.hooks[one.event] = [...(settings.hooks[one.event] ?? []), one.entry]
    } else {
      settings.permissions ??= {}
      settings.permissions.allow = [...(settings.permissions.allow ?? []), one.rule]
    }
  }
  return settings
}

test('uninstall keeps foreign changes, whenever they were made, and doing it twice is doing it once', {
  timeout: CEILING_MS,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      someSettings,
      fc.array(fc.tuple(fc.array(edit, { maxLength: 3 }), fc.boolean()), { maxLength: 3 }),
      async (value, rounds) => {
        await inFreshHome(async () => {
          write(value)
          install({ allow: true })
          for (const [edits, again] of rounds) {
            write(apply(read(), edits))
            if (again) install({ sidecarPath: '/b/sidecar.js' })
          }
          await uninstall()
          const all = rounds.flatMap(([edits]) => edits)
          expect(read()).toEqual(apply(JSON.parse(JSON.stringify(value)), all))
          const once = readFileSync(settings, 'utf8')
          await uninstall()
          expect(readFileSync(settings, 'utf8')).toBe(once)
        })
      },
    ),
    { numRuns: 40 },
  )
})
