/**
 * Distinguishes the authors of prompts: UserPromptSubmit also fires for messages, task notifications and the like.
 * Pure.
 */

/**
 * Beginnings of prompts that no person typed (2.1.329, test/fixtures/claude-code/hooks/UserPromptSubmit.*): a
 * background task, subagent, monitor or rewaking hook; another session's SendMessage; and mesh's own hand-overs. A text
 * that another program posts to the inbox socket looks like a person's words.
 */
const NOT_TYPED = /^\s*<(?:task-notification>|cross-session-message |mesh-[0-9a-f]{8}>)/

/** Returns true for the words of a person, or of the caller of `claude -p`. */
export function isPersons(prompt: string): boolean {
  return prompt.trim() !== '' && !NOT_TYPED.test(prompt)
}
