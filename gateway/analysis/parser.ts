import createModule from 'libpg-query/wasm/libpg-query.js';
import type { ParseTree } from '../sql/analyze.ts';

/** PostgreSQL's own refusal of a text. */
export class SqlSyntaxError extends Error {
  readonly code = 'POSTERN_SYNTAX';
  /** In code points from 1; 0: none. */
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

/** One instance of the WASM module. Any throw but SqlSyntaxError damages it: throw the whole parser away. */
export interface Parser {
  /** The text must hold no NUL: the parser would stop there and the server would not. */
  parse(text: string): ParseTree;
}

/** What is used of the module (libpg-query's own wrapper keeps one instance for ever, so it cannot be replaced). */
interface Module {
  lengthBytesUTF8(text: string): number;
  stringToUTF8(text: string, pointer: number, size: number): void;
  UTF8ToString(pointer: number): string;
  getValue(pointer: number, type: 'i32'): number;
  _malloc(size: number): number;
  _free(pointer: number): void;
  _wasm_parse_query_raw(pointer: number): number;
  _wasm_free_parse_result(pointer: number): void;
}

export async function loadParser(): Promise<Parser> {
  const module = (await createModule()) as Module;
  return { parse: (text) => parse(module, text) };
}

function parse(module: Module, text: string): ParseTree {
  // The server's spaces are these, and no others.
  if (/^[ \t-\r]*$/.test(text)) return {};
  const size = module.lengthBytesUTF8(text) + 1;
  const query = module._malloc(size);
  module.stringToUTF8(text, query, size);
  const result = module._wasm_parse_query_raw(query);
  try {
    return read(module, result);
  } finally {
    module._free(query);
    module._wasm_free_parse_result(result);
  }
}

/** PgQueryParseResult: { char *parse_tree; char *stderr_buffer; PgQueryError *error }. */
function read(module: Module, result: number): ParseTree {
  const error = module.getValue(result + 8, 'i32');
  // PgQueryError: { char *message, *funcname, *filename; int lineno, cursorpos; … }.
  if (error !== 0) {
    throw new SqlSyntaxError(module.UTF8ToString(module.getValue(error, 'i32')), module.getValue(error + 16, 'i32'));
  }
  return JSON.parse(module.UTF8ToString(module.getValue(result, 'i32'))) as ParseTree;
}
