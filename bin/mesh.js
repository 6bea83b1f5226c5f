#!/usr/bin/env node
if (parseInt(process.versions.node, 10) >= 20) import('../dist/cli.js')
else {
  console.error(`mesh: needs Node 20 or later, this is ${process.version}`)
  process.exitCode = 5
}
