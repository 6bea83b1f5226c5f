/** Who a prompt is from: UserPromptSubmit fires for messages, task notifications and the like as well. Pure. */

/**
 * How 2.1.329 begins a prompt that nobody typed (test/fixtures/claude-code/hooks/UserPromptSubmit.*): a background
 * task, subagent, monitor or rewaking hook; another session's SendMessage; and our own hand-overs. What another program
 * posts to the inbox socket looks like a person's words.
 */
const NOT_TYPED = /^\s*<(?:task-notification>|cross-session-message |mesh-[0-9a-f]{8}>)/

/** True for what a person, or the caller of `claude -p`, said. */
export function isPersons(prompt: string): boolean {
  return prompt.trim() !== '' && !NOT_TYPED.test(prompt)
}
