/** Lists the processes of this user. */
import { readdirSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { commandLine, identifyProcess, identityWith, output, type ProcessIdentity } from './process.ts'
import { processSpace, seesOwnSpace, spaceOf } from './space.ts'

export interface ProcessInfo extends ProcessIdentity {
  /** Command line as `commandLine` returns it. */
  command: string
}

/** Every living process of this user, in this process space. */
export function ownProcesses(): ProcessInfo[] {
  const found = process.platform === 'darwin' ? listByPs() : listByProc()
  return found.map(({ pid, start, command }) => ({ ...identityWith(pid, start), command }))
}

function listByProc(): { pid: number; start: string; command: string }[] {
  const uid = process.getuid?.()
  const [space, isOurs] = [processSpace(), seesOwnSpace()]
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && ownerOf(`/proc/${name}`) === uid)
  return pids.map(Number).flatMap((pid) => {
    const start = isOurs && spaceOf(pid) === space ? identifyProcess(pid)?.start : undefined
    return start === undefined ? [] : [{ pid, start, command: commandLine(pid) }]
  })
}

function ownerOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.uid
}

/** `lstart` is five words. */
function listByPs(): { pid: number; start: string; command: string }[] {
  const columns = 'pid=,stat=,lstart=,args='
  const lines = output('/bin/ps', ['-ww', '-o', columns, '-U', String(userInfo().uid)]).split('\n')
  return lines.flatMap((line) => {
    const [, pid, letter, start, command] = /^\s*(\d+)\s+(\S)\S*\s+((?:\S+\s+){4}\S+)\s+(.*)$/.exec(line) ?? []
    if (!pid || !start || letter === 'Z') return []
    return [{ pid: Number(pid), start: start.split(/\s+/).join(' '), command: command!.trim() }]
  })
}
