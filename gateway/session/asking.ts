import {
  encodeNames,
  encodeOids,
  FUNCTIONS_QUESTION,
  keyOf,
  RELATIONS_QUESTION,
  readFunctions,
  readRelations,
  readSettings,
  readSurroundings,
  readTypes,
  SETTINGS_QUESTION,
  SURROUNDINGS_QUESTION,
  TYPES_QUESTION,
} from '../catalog/questions.ts';
import type { Wanted, WrittenName, WrittenType } from '../sql/resolve-environment.ts';
import { encodeFlush } from '../wire/frontend.ts';
import type { Need } from './judged.ts';
import { askPins } from './pins.ts';
import { encodeQuestion, type Question, type QuestionRows, type QuestionText } from './question.ts';
import { type ReplyKind, replyWith } from './replies.ts';
import type { SessionState } from './state.ts';

/** Sets in motion what a waiting statement needs; the session tries it again when the answers are in. */
export function satisfy(s: SessionState, need: Need): void {
  if (need.kind === 'Analysis' || need.kind === 'Catalog') return; // the environment wakes the session
  if (s.replies.length > 0) {
    // In a pipeline without Sync the server keeps its answers back until it is told to send them.
    if (s.pipelineOpen) s.port.toServer(encodeFlush(), null);
    return;
  }
  if (need.kind === 'Settings') askSettings(s);
  else if (need.kind === 'Pins') askPins(s);
  else if (need.kind === 'Names') askNames(s, need);
}

function askSettings(s: SessionState): void {
  ask(s, { sql: SETTINGS_QUESTION, parameters: [] }, (rows) => {
    const answer = readSettings(rows[0] ?? []);
    if (answer.hasTemporaryObjects) s.settings.local = 'session';
    s.settings.answered(answer, answer);
  });
}

function askNames(s: SessionState, { relations, functions, types }: Wanted): void {
  const names = [...relations, ...functions, ...types];
  if (
    s.settings.clientEncoding !== 'UTF8' &&
    names.some(({ schema, name }) => /[^\x20-\x7e]/.test(`${schema}${name}`))
  ) {
    // The answer would come in another encoding, and a name that seems not to exist would be judged by another schema.
    s.askFailed = `names beyond ASCII cannot be looked up with client_encoding ${s.settings.clientEncoding}; use UTF8`;
    return;
  }
  if (relations.length > 0) askRelations(s, relations);
  if (functions.length > 0) {
    ask(s, { sql: FUNCTIONS_QUESTION, parameters: encodeNames(functions) }, (rows) => {
      for (const [key, found] of readFunctions(rows)) s.settings.overlay.functions.set(key, found);
    });
  }
  if (types.length > 0) askTypes(s, types);
}

function askTypes(s: SessionState, types: readonly WrittenType[]): void {
  const names = types.filter(({ oid }) => oid === undefined);
  const oids = [...new Set(types.flatMap(({ oid }) => oid ?? []))];
  ask(s, { sql: TYPES_QUESTION, parameters: [...encodeNames(names), encodeOids(oids)] }, (rows) => {
    for (const [key, found] of readTypes(rows[0]!, oids)) s.settings.overlay.types.set(key, found);
  });
}

/** First what the names mean; once that is known, what hangs on those that the shared catalogue does not know. */
function askRelations(s: SessionState, names: readonly WrittenName[]): void {
  const { overlay } = s.settings;
  const meant = names.flatMap((name) => overlay.pending.get(keyOf(name)) ?? []);
  if (meant.length > 0) return askSurroundings(s, meant);
  const shared = s.settings.defining ? null : (s.env.catalog() ?? null);
  ask(s, { sql: RELATIONS_QUESTION, parameters: encodeNames(names) }, (rows) => {
    for (const [key, answer] of readRelations(rows, (oid) => shared?.relationByOid(oid))) {
      if (answer !== null && 'needs' in answer) overlay.pending.set(key, answer.needs);
      else overlay.relations.set(key, answer);
    }
  });
}

function askSurroundings(s: SessionState, oids: readonly number[]): void {
  const { overlay } = s.settings;
  ask(s, { sql: SURROUNDINGS_QUESTION, parameters: [encodeOids(oids)] }, (rows) => {
    const near = readSurroundings(rows[0]!);
    for (const [oid, relation] of near.related) overlay.related.set(oid, relation);
    for (const [oid, fn] of near.relatedFunctions) overlay.relatedFunctions.set(oid, fn);
    for (const [key, oid] of overlay.pending) overlay.relations.set(key, near.related.get(oid) ?? null);
    overlay.pending.clear();
  });
}

const KINDS: readonly ReplyKind[] = ['Parse', 'Bind', 'Execute', 'Close', 'Close', 'Sync'];

/** Puts a question; where its answer does not come, `askFailed` says why. */
export function ask(s: SessionState, text: QuestionText, done: (rows: QuestionRows) => void): void {
  const alone = !s.pipelineOpen;
  const question: Question = {
    alone,
    chunks: [],
    done: (rows) => {
      if (rows.length === 0) question.failed('the server answered with no row');
      else done(rows);
    },
    failed: (message) => {
      s.askFailed = message;
    },
  };
  for (const [i, bytes] of encodeQuestion(text, s.env.nonce(), alone).entries()) {
    const kind = i === KINDS.length - 1 && !alone ? null : KINDS[i]!;
    if (kind === null) s.port.toServer(bytes, null);
    else s.forward(bytes, replyWith(kind, { question }));
  }
}
