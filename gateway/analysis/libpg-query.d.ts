declare module 'libpg-query/wasm/libpg-query.js' {
  /** Builds a fresh instance of the WASM module. */
  const createModule: () => Promise<unknown>;
  // biome-ignore lint/style/noDefaultExport: this is how the package exports it
  export default createModule;
}
