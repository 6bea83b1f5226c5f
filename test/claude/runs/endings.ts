/** The ways in which a subagent can end: what the model says for it, and what mesh makes of that. */
import { bash, type Step } from '../support/mock-model.ts'

/** A subagent that calls this is cut off there, by a hook of the project: the client tells that it `completed`. */
export const CUT = 'echo cut-here'
export const look = bash('echo looked')
const cut = (status: number, times = 6): Step[] => Array<Step>(times).fill({ fail: status })

export interface Ending {
  steps: Step[]
  state: string
  reason: string
  suspect?: string
  /** Its session reads a word of mesh. */
  word: boolean
}

export const endings: Record<string, Ending> = {
  normal: {
    steps: [{ call: [look] }, { say: 'All is well. Next step: none.' }],
    state: 'completed',
    reason: 'finished',
    word: false,
  },
  untold: { steps: [{ say: 'The result is 42:', stop: null }], state: 'completed', reason: 'finished', word: false },
  empty: {
    steps: [{ call: [look] }, { say: '' }, { say: '' }],
    state: 'completed',
    reason: 'finished',
    suspect: 'no final message',
    word: true,
  },
  announced: {
    steps: [{ call: [look] }, { say: 'Now let me run the tests:' }],
    state: 'completed',
    reason: 'finished',
    suspect: 'announce',
    word: true,
  },
  paused: { steps: [{ say: 'half way', stop: 'pause_turn' }], state: 'terminated', reason: 'pause_turn', word: true },
  cutoff: {
    steps: [{ say: 'I look.', call: [bash(CUT)] }],
    state: 'terminated',
    reason: 'stopped in the middle',
    word: true,
  },
  bad: { steps: [{ call: [look] }, ...cut(400)], state: 'terminated', reason: 'API error: 400 api_error', word: false },
  overloaded: { steps: cut(529), state: 'terminated', reason: 'API error: 529 server_error', word: false },
  endless: {
    steps: Array<Step>(6).fill({ say: 'long', stop: 'max_tokens' }),
    state: 'terminated',
    reason: 'max_tokens',
    word: false,
  },
  refused: {
    steps: Array<Step>(3).fill({ say: 'no', stop: 'refusal' }),
    state: 'terminated',
    reason: 'refusal',
    word: false,
  },
}
