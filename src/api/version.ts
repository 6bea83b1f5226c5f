/** The version of what crosses a sidecar's socket. Programs of any two releases with the same one understand each other. */

/**
 * Raised when an older sidecar would misread a call or a newer command an answer. New operations and optional fields do
 * not raise it: an operation that a sidecar does not have is refused, a field that it does not know is passed over.
 */
export const apiVersion = 1
