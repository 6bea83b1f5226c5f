// In place of @nats-io/nkeys, which brings a JavaScript Ed25519: mesh signs with node:crypto (src/engine/nkey.ts), and
// what nats-core asks nkeys for is in authenticators that mesh does not use.
'use strict'
module.exports = {}
