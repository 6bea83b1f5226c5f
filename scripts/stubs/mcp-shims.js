// In place of the MCP package's own shims: its JSON Schema validator (ajv) is for what mesh does not use, and would
// make `mesh mcp` start a third slower. What tools are called with is checked by the sidecar.
export { default as process } from 'node:process'

export class DefaultJsonSchemaValidator {
  getValidator() {
    throw new Error('mesh bundles no JSON Schema validator')
  }
}
