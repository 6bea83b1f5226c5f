/** Every bound mesh puts on names, sizes, queues and ages, in one place. Pure. */

const KIB = 1024
const MIB = 1024 * KIB
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export const limits = {
  /** Characters of a session, topic, role or member name. */
  name: 64,
  /** UTF-8 bytes of a message text carried inside its envelope. */
  inlineBodyBytes: 256 * KIB,
  /** UTF-8 bytes of a message text at all; above `inlineBodyBytes` it travels through the object store. */
  bodyBytes: 8 * MIB,
  /** Characters of a large body repeated in the envelope, so that a reader can show its beginning. */
  previewChars: 2000,
  /** Bytes of an encoded envelope. JSON escapes can make a text six times as long; NATS `max_payload` is above it. */
  envelopeBytes: 1792 * KIB,
  /** `max_payload` of the embedded engine. */
  payloadBytes: 2 * MIB,
  /** Nesting of a JSON value from outside. */
  jsonDepth: 64,
  /** Bytes of a request on the sidecar's socket: JSON escapes can make a text six times as long. */
  requestBytes: 52 * MIB,
  /** Characters of a thread name. */
  thread: 128,
  /** Replies to replies. */
  hops: 64,
  /** Topics or roles of one session. */
  memberships: 64,
  /** Former conversations that a name remembers. */
  earlierSessions: 8,
  /** Recipients of one `mesh send`. */
  recipients: 64,
  /** Unread messages that a sidecar keeps in memory; the rest waits in the stream. */
  unread: 1000,
  /**
   * Limit of unread messages while a call awaits one particular message, which may be behind them. The surfaced record
   * has room for these.
   */
  unreadAwaited: 2000,
  /** Bytes of unread messages that a sidecar keeps in memory. */
  unreadBytes: 32 * MIB,
  /** Messages of one `mesh inbox` answer. */
  inboxBatch: 100,
  /** Bytes of texts in one `mesh inbox` answer, unless a single message has more. */
  inboxBytes: 32 * MIB,
  /** Messages that wait in an outbox while the engine is away. */
  outbox: 10_000,
  /** Bytes of an outbox. */
  outboxBytes: 256 * MIB,
  /** Peers whose exchanges with one session are counted at a time. */
  pairs: 1000,
  /** Those of them that a heartbeat carries. */
  pairsShown: 16,
  /** Open waits of one sidecar. */
  waiters: 256,
  /** Characters of one message shown to a model; the rest by `mesh inbox`. */
  shownMessageChars: 2000,
  /** Characters of one message that a model asks an MCP tool for by its id. Claude Code passes 30,000 on. */
  shownWholeChars: 24_000,
  /** Characters of one hand-over to a model. Claude Code cuts hook text at 10,000. */
  shownHandoverChars: 8000,
  /** Messages of one hand-over to a model. */
  shownMessages: 20,
  /** Characters of the title that a person gave a session in its client. */
  sessionTitle: 200,
  /** Characters of a task's title. */
  taskTitle: 200,
  /** Characters of a task's body, result or comment. */
  taskText: 16 * KIB,
  /** Characters of what a task waits for, or why a lease expired. */
  taskReason: 200,
  /** Dependencies, labels, links of one task, each. */
  taskLinks: 64,
  /** Operations that a task remembers, so that one whose answer was lost is not done twice. */
  taskRecent: 16,
  /** Changes of one task that are kept. */
  taskHistory: 1000,
  /** Tasks of one board. */
  tasks: 20_000,
  /** Characters of a claimed path, relative to its repository. */
  claimPath: 1024,
  /** Paths of one `mesh claim`. */
  claimPaths: 64,
  /** Claims on files of one repository. */
  fileClaims: 1000,
  /** Bytes of the record of a repository's claims. */
  fileClaimsBytes: 256 * KIB,
  /** Sessions that are remembered as editors of one file. */
  fileEditors: 16,
  /** Files that a sidecar remembers as edited by its session. */
  filesEdited: 1000,
  /** UTF-8 bytes of all values and notes of one state document. */
  stateBytes: MIB,
  /** Characters of a state key. */
  stateKey: 128,
  /** Keys, and notes, of one state document; of the notes the newest are kept. */
  stateKeys: 1000,
  stateNotes: 100,
  /** Characters of one note. */
  stateNoteChars: 4 * KIB,
  /** Operations that a state document remembers. */
  stateRecent: 16,
  /** Revisions of one state document that are kept, as long as they have no more than so many bytes together. */
  stateHistory: 64,
  stateHistoryBytes: 16 * MIB,
  /** Open asks, answers owed, waits and tasks of one session that its ledger keeps, each. */
  ledger: 64,
  /** Hand-offs that a name remembers. */
  handoffs: 8,
  /** Characters of a message that the ledger keeps. */
  ledgerText: 200,
  /** Bytes of one spooled hook event. */
  hookEventBytes: 4 * MIB,
  /** Bytes of a spool directory. */
  spoolBytes: 16 * MIB,
  /** Bytes of an encoded run event: JSON escapes can make its texts six times as long. */
  runEventBytes: 192 * KIB,
  /** Runs above a run: a session's runs' sessions' runs ... */
  lineage: 64,
  /** Owners of a run before the present one that are remembered. */
  formerOwners: 16,
  /** Characters of a run's reason, and of the evidence for it. */
  reason: 200,
  evidence: 1000,
  /** UTF-8 bytes of the last words on standard error that an end carries. */
  stderrTailBytes: 4 * KIB,
  /** Characters of a final result in its event. */
  resultChars: 16_000,
  /** Characters of the text before it that a final message points to. */
  earlierChars: 4000,
  /** Characters of the prompt of a spawned session. */
  promptChars: 256 * KIB,
  /** Characters of the JSON Schema of its result: its model reads it. */
  schemaChars: 16 * KIB,
  /** Characters of a name, and of a text, in the cause of a session's state. */
  causeName: 128,
  causeText: 200,
  /** Characters of one progress text. */
  progressChars: 500,
  /** Bytes of each of a detached run's logs before it is rotated; one old file of each is kept. */
  runLogBytes: 8 * MIB,
  /** Words, and bytes, of a run's command line. */
  commandWords: 4096,
  commandBytes: 512 * KIB,
  /** Events of a run that wait while the engine is away; further progress is dropped, the end is not. */
  runBacklog: 1000,
  /** Bytes of a sidecar's log file before it is rotated; one old file is kept. */
  logBytes: 4 * MIB,
} as const

/** Durations, milliseconds. */
export const times = {
  messageAge: 30 * DAY,
  receiptAge: 1 * DAY,
  /** A sender keeps what it sent for this long. */
  sentAge: 1 * DAY,
  /** Events, and the records of runs, are kept for this long. */
  eventAge: 30 * DAY,
  /** A run's directory is removed this long after its end was announced. */
  runDirAge: 7 * DAY,
  /** A name whose session ended this long ago is removed if nothing is left under it; one that nobody chose, sooner. */
  nameAge: 7 * DAY,
  unnamedAge: DAY,
  /** Between SIGTERM and SIGKILL, unless the caller says. */
  runGrace: 10 * SECOND,
  presenceAge: 10 * MINUTE,
  heartbeat: 10 * SECOND,
  /** Without a heartbeat for this long a session is `unreachable` ... */
  unreachable: 25 * SECOND,
  /** ... and `lost`. Only a witness makes it `gone`. */
  lost: 45 * SECOND,
  /** After a reconnect, a new presence bucket or a gap in one's own ticks no peer is judged for this long. */
  amnesty: 30 * SECOND,
  /** A send without an acknowledgement for this long goes to disk and is reported as queued. */
  queueAfter: 200,
  /** A client that does not even read what it is sent may yet: it is offered again after this long. */
  receivedEvidence: 30 * SECOND,
  /** A text that the client has read shows in its transcript within 0.3 s, or it was dropped. */
  handedEvidence: 2 * SECOND,
  /** A screened message that was let in is queued within 0.1 s after the answer (seen on 2.1.329). */
  screenedEvidence: 3 * SECOND,
  /** A door that a person or a setting kept shut is tried again after this long. */
  screenedShut: 30 * MINUTE,
  /** The sender of a message that waits for this long gets the reason. */
  waitShown: 1 * SECOND,
  /** A file that the client watches is taken by its hook within a second, or not at all. */
  takenEvidence: 5 * SECOND,
  /** A hand-over that the client has, without a sign that the model read it, after its turn ended. */
  surfacedEvidence: 5 * SECOND,
  /** After this long without a word between two sessions their rounds are counted anew. */
  loopSilence: HOUR,
  /** A person who left the shell keeps claims on tasks for this long: it is no crash. */
  claimResting: DAY,
  /** A claim on files, unless the caller says for how long; and at most. */
  fileClaim: HOUR,
  fileClaimMost: 7 * DAY,
  /** Two sessions that edited a file within this long are notified of each other. */
  fileEdit: HOUR,
  /** A session that goes on editing a file says so again after this long. */
  fileEditAgain: 5 * MINUTE,
  /** The runs of a session that was lost this long ago are adopted. */
  ownerLost: 10 * MINUTE,
  /** An operator's sidecar without a call for this long ends. */
  operatorIdle: 10 * MINUTE,
  /** A write of a state document takes no longer than this: older objects that no revision names can go. */
  stateGrace: HOUR,
  /** An ask without an answer, and an answer that is owed, are kept for this long ... */
  askAge: 7 * DAY,
  /** ... and a wait whose call was cut off for this long. */
  waitAge: DAY,
  /** JetStream remembers message ids for this long (its default `duplicate_window`). */
  duplicateWindow: 2 * MINUTE,
} as const

/** `max_consumers` of every stream: unset it means 1,000 on nats-server 2.15. */
export const maxConsumers = 100_000
