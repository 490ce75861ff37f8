declare module 'fengari' {
  /** A Lua state; the functions are those of Lua's C API. */
  type State = { readonly __state: unique symbol };
  export const to_luastring: (text: string) => Uint8Array;
  export const to_jsstring: (text: Uint8Array) => string;
  export const lualib: { readonly luaL_openlibs: (state: State) => void };
  export const lauxlib: {
    readonly luaL_newstate: () => State;
    readonly luaL_loadstring: (state: State, text: Uint8Array) => number;
  };
  export const lua: {
    readonly LUA_OK: number;
    readonly lua_pcall: (state: State, args: number, results: number, handler: number) => number;
    readonly lua_tostring: (state: State, at: number) => Uint8Array;
  };
}
