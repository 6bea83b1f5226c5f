/** The version of this program, as the build defined it. */

declare const MESH_VERSION: string | undefined

export const version: string = typeof MESH_VERSION === 'string' ? MESH_VERSION : '0.0.0'
