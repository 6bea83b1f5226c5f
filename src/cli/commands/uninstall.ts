/** `mesh uninstall`. */
import { MeshError } from '../../errors.ts'

export async function run(): Promise<undefined> {
  throw new MeshError('internal', 'not built yet')
}
