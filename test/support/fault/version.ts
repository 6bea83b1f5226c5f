/** Imported first by a program that is bundled for a test: the version that the build would have defined. */
Object.assign(globalThis, { MESH_VERSION: process.env.FAULT_VERSION })

export {}
