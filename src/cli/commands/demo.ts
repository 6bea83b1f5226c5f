/** `mesh demo`. */
import { MeshError } from '../../errors.ts'

export async function run(): Promise<undefined> {
  throw new MeshError('internal', 'the demo is not built yet')
}
