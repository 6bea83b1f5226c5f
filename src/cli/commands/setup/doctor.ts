/** `mesh doctor`: what is wrong with the set-up, and how to mend it. */
import { examine, type Mended, mend } from '../../../doctor/doctor.ts'
import type { Finding } from '../../../doctor/finding.ts'
import type { Context, Switches } from '../../command.ts'
import type { Output } from '../../output.ts'
import { columns, oneLine } from '../../show/columns.ts'
import { described } from '../../show/terms.ts'

/** It is not so that all is well. */
const FAULTY = 4
const MEND = 'mesh doctor --fix'
const CLEAR_LINE = '\r\u001b[K'

export async function run({
  env,
  cwd,
  home,
  flags,
  out,
  operator,
}: Context<Switches<'fix' | 'wake'>>): Promise<number> {
  const options = { env, cwd, home, operator, wake: flags.wake === true }
  const { findings, mended } = await withProgress(out, async (say) =>
    flags.fix ? mend(options, say) : { findings: await examine(options, say), mended: [] },
  )
  if (out.json) await out.value(asJson(findings, mended))
  else await print(out, findings, mended)
  return findings.every(({ ok }) => ok) ? 0 : FAULTY
}

/** Shows on a terminal what is being done, in one line that is gone in the end. */
async function withProgress<T>(out: Output, work: (say: (what: string) => void) => Promise<T>): Promise<T> {
  if (out.json || !process.stderr.isTTY) return work(() => {})
  try {
    return await work((what) => process.stderr.write(`${CLEAR_LINE}${what} …`))
  } finally {
    process.stderr.write(CLEAR_LINE)
  }
}

/** `fixable`: `mesh doctor --fix` does it. `tried`: what it did in vain. `mended`: what was at fault and is well now. */
function asJson(findings: readonly Finding[], mended: readonly Mended[]): object[] {
  const isFaulty = (check: string) => findings.some((finding) => finding.check === check && !finding.ok)
  const shown = findings.map(({ check, ok, detail, fix, mend }) => {
    const tried = ok ? undefined : mended.findLast((one) => one.check === check)?.did
    return { check, ok, detail, fix, fixable: mend !== undefined, ...(tried ? { tried } : {}) }
  })
  const well = mended.filter(({ check }) => !isFaulty(check))
  return [
    ...well.map(({ check, did }) => ({ check, ok: true, detail: did, fix: null, fixable: false, mended: true })),
    ...shown,
  ]
}

async function print(out: Output, findings: readonly Finding[], mended: readonly Mended[]): Promise<void> {
  for (const { check, detail, did, ok } of mended) {
    await out.line(`mended  ${oneLine(`${check}: ${detail}`)}`)
    await out.line(`        ${ok ? '' : 'in vain: '}${oneLine(did)}`)
  }
  const faults = findings.filter(({ ok }) => !ok)
  const rows = findings
    .filter(({ ok }) => ok)
    .map(({ check, detail, isOffer }) => [isOffer ? '--' : 'ok', check, oneLine(detail)])
  const lines = process.stdout.isTTY
    ? described(rows.map(([ok, check, detail]) => [`${ok}  ${check}`, detail!]))
    : columns(rows)
  for (const line of lines) await out.line(line)
  for (const { check, detail, fix, mend } of faults) {
    await out.line(`FAULT  ${check}: ${oneLine(detail)}`)
    const also = mend && fix !== MEND ? `   (or ${MEND})` : ''
    if (fix) await out.line(`       mend it with: ${oneLine(fix)}${also}`)
  }
  await out.line(summary(faults))
}

function summary(faults: readonly Finding[]): string {
  if (faults.length === 0) return 'all is well'
  const curable = faults.filter(({ mend }) => mend).length
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`
  return curable === 0 ? count : `${count}; mesh doctor --fix mends ${curable} of them`
}
