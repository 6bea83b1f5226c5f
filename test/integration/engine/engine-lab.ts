import { identifyProcess } from '../../../src/host/process/process.ts'

export const WAIT = { timeout: 30_000, interval: 5 }
export const SECRET = 'a-secret-of-the-session'
export const quiet = () => {}
export const portOf = (url: string | null) => Number(new URL(url!).port)
export const isAlive = (pid: number) => identifyProcess(pid) !== null
