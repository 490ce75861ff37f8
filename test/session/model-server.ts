import { FUNCTIONS_QUESTION, RELATIONS_QUESTION, SETTINGS_QUESTION } from '../../gateway/catalog/questions.ts';
import * as backend from '../../gateway/wire/backend.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import { FRONTEND } from '../../gateway/wire/types.ts';
import { ServerError, Shop, type Text } from './model-shop.ts';

interface Portal {
  readonly text: Text;
  readonly parameters: readonly (Buffer | null)[];
  done: boolean;
  /** Rows given out so far. */
  at: number;
}

export interface ModelServerOptions {
  /** Texts that this server itself refuses with 42501 when it analyses them: a gateway that cannot be told apart. */
  readonly denies?: (text: Text) => boolean;
  /** Called at each statement that runs, or that a Bind makes able to. */
  readonly ran?: (text: Text) => void;
}

const EXITS = /^(?:COMMIT|ROLLBACK)/;

/**
 * PostgreSQL's main loop as far as a conversation shows it (tcop/postgres.c): simple strings, extended messages, skipping to
 * Sync, COPY, portals and transactions; what statements do is the shop's. One client message in, its answers out.
 */
export class ModelServer {
  readonly #options: ModelServerOptions;
  readonly #shop = new Shop();
  readonly #portals = new Map<string, Portal>();
  #skipping = false;
  #copying: Generator<void, void, Buffer | null> | null = null;
  #out: Buffer[] = [];
  dead = false;

  constructor(options: ModelServerOptions = {}) {
    this.#options = options;
  }

  receive(type: number, body: Buffer): Buffer[] {
    this.#out = [];
    if (this.dead) return [];
    if (this.#copying !== null) this.#copy(type);
    else if (type === FRONTEND.Terminate) this.dead = true;
    else if (!this.#skipping || type === FRONTEND.Sync) this.#message(type, body);
    return this.#out;
  }

  #copy(type: number): void {
    if (type === FRONTEND.Flush || type === FRONTEND.Sync || type === FRONTEND.CopyData) return;
    if (type === FRONTEND.CopyDone) this.#goOn(null);
    else if (type === FRONTEND.CopyFail) this.#goOn(Buffer.from('given up'));
    else this.#fatal();
  }

  #fatal(): void {
    this.#say(backend.encodeErrorResponse({ severity: 'FATAL', code: '08P01', message: 'unexpected message' }));
    this.dead = true;
  }

  #say(...messages: Buffer[]): void {
    this.#out.push(...messages);
  }

  #message(type: number, body: Buffer): void {
    switch (type) {
      case FRONTEND.Query:
        return this.#start(this.#query(frontend.decodeQuery(body).text.toString()), false);
      case FRONTEND.FunctionCall:
        return this.#start(this.#functionCall(frontend.decodeFunctionCall(body).functionOid), false);
      case FRONTEND.Sync:
        this.#skipping = false;
        return this.#ready();
      case FRONTEND.Parse:
        return this.#start(this.#parse(frontend.decodeParse(body)), true);
      case FRONTEND.Bind:
        return this.#start(this.#bind(frontend.decodeBind(body)), true);
      case FRONTEND.Execute:
        return this.#start(this.#execute(frontend.decodeExecute(body)), true);
      case FRONTEND.Describe:
        return this.#start(this.#describe(frontend.decodeDescribe(body)), true);
      case FRONTEND.Close: {
        const { target, name } = frontend.decodeClose(body);
        if (target === 'S') this.#shop.statements.delete(name);
        else this.#portals.delete(name);
        return this.#say(backend.encodeEmpty('CloseComplete'));
      }
      case FRONTEND.PasswordMessage:
        return this.#fatal();
      default: // Flush; copy messages outside a copy
    }
  }

  #extended = false;

  #start(work: Generator<void, void, Buffer | null>, extended: boolean): void {
    this.#extended = extended;
    this.#copying = work;
    this.#goOn(null);
  }

  /** Runs on until the message is done, fails, or waits for CopyDone or CopyFail. */
  #goOn(copyFailed: Buffer | null): void {
    const work = this.#copying!;
    try {
      if (work.next(copyFailed).done !== true) return;
      this.#copying = null;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.#copying = null;
      this.#fail(error);
    }
  }

  #fail({ code, message }: ServerError): void {
    this.#say(backend.encodeErrorResponse({ severity: 'ERROR', code, message }));
    if (this.#shop.fail() === 'I') this.#portals.clear();
    if (this.#extended) this.#skipping = true;
    else this.#ready();
  }

  #ready(): void {
    this.#endImplicit();
    this.#say(backend.encodeReadyForQuery(this.#shop.transaction));
  }

  /** Outside a transaction block what ran is committed now, and its portals go. */
  #endImplicit(): void {
    if (this.#shop.transaction === 'I') this.#portals.clear();
  }

  *#query(string: string): Generator<void, void, Buffer | null> {
    this.#shop.statements.delete('');
    const texts = split(string);
    for (const text of texts) this.#shop.parse(text);
    if (texts.length === 0) this.#say(backend.encodeEmpty('EmptyQueryResponse'));
    for (const text of texts) {
      this.#checkAborted(text);
      this.#analyse(text);
      this.#options.ran?.(text);
      yield* this.#run({ text, parameters: [], done: false, at: 0 }, { rows: 0, described: false });
    }
    this.#ready();
  }

  *#functionCall(oid: number): Generator<void, void, Buffer | null> {
    if (this.#shop.transaction === 'E') throw new ServerError('25P02', 'aborted');
    if (this.#options.denies?.(`function ${oid}`) === true) throw new ServerError('42501', 'denied');
    if (oid !== CALLABLE) throw new ServerError('42883', 'no such function');
    this.#options.ran?.(`function ${oid}`);
    this.#say(backend.encodeFunctionCallResponse(Buffer.from('1')));
    this.#ready();
    yield* [];
  }

  *#parse({ statement, text }: frontend.Parse): Generator<void, void, Buffer | null> {
    if (statement === '') this.#shop.statements.delete('');
    const texts = isQuestion(text.toString()) ? [text.toString()] : split(text.toString());
    for (const one of texts) this.#shop.parse(one);
    if (texts.length > 1) throw new ServerError('42601', 'multiple commands');
    const [one = ''] = texts;
    if (this.#options.denies?.(one) === true) throw new ServerError('42501', 'denied');
    this.#checkAborted(one);
    this.#analyse(one);
    if (this.#shop.statements.has(statement)) throw new ServerError('42P05', 'already exists');
    this.#shop.statements.set(statement, one);
    this.#say(backend.encodeEmpty('ParseComplete'));
    yield* [];
  }

  *#bind({ portal, statement, parameters }: frontend.Bind): Generator<void, void, Buffer | null> {
    const text = this.#shop.statement(statement);
    this.#checkAborted(text);
    if (portal !== '' && this.#portals.has(portal)) throw new ServerError('42P03', 'already exists');
    this.#options.ran?.(text);
    this.#portals.set(portal, { text, parameters, done: false, at: 0 });
    this.#say(backend.encodeEmpty('BindComplete'));
    yield* [];
  }

  *#describe({ target, name }: frontend.Describe): Generator<void, void, Buffer | null> {
    const text = target === 'S' ? this.#shop.statement(name) : this.#portal(name).text;
    if (this.#shop.transaction === 'E' && this.#shop.hasRows(text)) throw new ServerError('25P02', 'aborted');
    if (target === 'S') this.#say(backend.encodeParameterDescription([]));
    this.#say(this.#shop.hasRows(text) ? ROW : backend.encodeEmpty('NoData'));
    yield* [];
  }

  *#execute({ portal: name, maxRows }: frontend.Execute): Generator<void, void, Buffer | null> {
    const portal = this.#portal(name);
    if (portal.text === '') return this.#say(backend.encodeEmpty('EmptyQueryResponse'));
    this.#checkAborted(portal.text);
    if (portal.done && !this.#shop.hasRows(portal.text)) throw new ServerError('55000', 'cannot be run');
    yield* this.#run(portal, { rows: maxRows, described: true });
  }

  #portal(name: string): Portal {
    const portal = this.#portals.get(name);
    if (portal === undefined) throw new ServerError('34000', `portal "${name}" does not exist`);
    return portal;
  }

  *#run(
    portal: Portal,
    { rows: max, described }: { rows: number; described: boolean },
  ): Generator<void, void, Buffer | null> {
    const { text } = portal;
    if (isQuestion(text))
      return this.#say(...answer(text, portal.parameters), backend.encodeCommandComplete('SELECT 1'));
    if (/^COPY .* FROM STDIN$/.test(text)) {
      this.#say(backend.encodeCopyResponse('CopyInResponse', { format: 0, columnFormats: [0] }));
      portal.done = true;
      const failed = yield;
      if (failed !== null) throw new ServerError('57014', 'COPY from stdin failed');
      return this.#say(backend.encodeCommandComplete('COPY 0'));
    }
    if (/^COPY .* TO STDOUT$/.test(text)) {
      this.#say(backend.encodeCopyResponse('CopyOutResponse', { format: 0, columnFormats: [0] }));
      this.#say(frontend.encodeCopyData(Buffer.from('1\n')), backend.encodeEmpty('CopyDone'));
      portal.done = true;
      return this.#say(backend.encodeCommandComplete('COPY 1'));
    }
    const before = this.#shop.transaction;
    const { rows, tag, notice } = this.#shop.execute(text, this.#portals);
    if (notice) this.#say(backend.encodeNoticeResponse({ severity: 'WARNING', code: '25000', message: 'as it is' }));
    if (rows !== null && !described) this.#say(ROW);
    const left = (rows ?? 0) - portal.at;
    const given = max > 0 ? Math.min(max, left) : left;
    for (let i = 0; i < given; i++) this.#say(backend.encodeDataRow([Buffer.from('1')]));
    portal.at += given;
    if (max > 0 && given === max && rows !== null && !portal.done) {
      return this.#say(backend.encodeEmpty('PortalSuspended'));
    }
    portal.done = true;
    this.#say(backend.encodeCommandComplete(tag.replace('#', String(given))));
    if (before !== 'I' && this.#shop.transaction === 'I') this.#portals.clear();
  }

  #checkAborted(text: Text): void {
    if (this.#shop.transaction === 'E' && !EXITS.test(text)) throw new ServerError('25P02', 'aborted');
  }

  #analyse(text: Text): void {
    if (this.#options.denies?.(text) === true || this.#runsWhatHides(text)) throw new ServerError('42501', 'denied');
    this.#shop.analyse(text);
  }

  /** EXECUTE and FETCH of what moves the session in ways that nobody behind it would look for: refused by who denies. */
  #runsWhatHides(text: Text): boolean {
    const [, verb, name = ''] = /^(EXECUTE|FETCH 1 FROM) (\w+)/.exec(text) ?? [];
    if (this.#options.denies === undefined || verb === undefined) return false;
    return HIDES.test((verb === 'EXECUTE' ? this.#shop.statements.get(name) : this.#portals.get(name)?.text) ?? '');
  }
}

const HIDES = /^(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|PREPARE|EXECUTE|DEALLOCATE|DECLARE|FETCH|CLOSE|SET)\b/;

/** The one function that FunctionCall may call here. */
export const CALLABLE = 1;

const ROW = backend.encodeRowDescription([
  { name: 'n', tableOid: 0, columnNumber: 0, typeOid: 23, typeSize: 4, typeModifier: -1, format: 0 },
]);

function split(string: string): string[] {
  return string.split(';').flatMap((text) => (text.trim() === '' ? [] : [text.trim()]));
}

/** The gateway's own. */
export function isQuestion(text: string): boolean {
  return text === SETTINGS_QUESTION || text === RELATIONS_QUESTION || text === FUNCTIONS_QUESTION;
}

function answer(text: string, parameters: readonly (Buffer | null)[]): Buffer[] {
  const row = (...values: (string | null)[]) =>
    backend.encodeDataRow(values.map((value) => (value === null ? null : Buffer.from(value))));
  if (text === SETTINGS_QUESTION) {
    return [row('{pg_catalog,public}', 'reader', 'reader', 'on', 'UTF8', 'off', 'off', '0', 'false', 'false')];
  }
  const [schemas, names] = parameters.map((parameter) =>
    [...(parameter?.toString() ?? '').matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1]!),
  );
  return names!.map((name, i) => {
    const schema = schemas![i]!;
    if (text === FUNCTIONS_QUESTION) return row(schema, name, ...Array<null>(12).fill(null));
    return row(schema, name, 'public', name, '16400', 'r', null);
  });
}
