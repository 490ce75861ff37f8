/** A statement's text, without its semicolon. */
export type Text = string;

export class ServerError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Result {
  /** null: no result set. */
  readonly rows: number | null;
  /** `#`: the number of rows given. */
  readonly tag: string;
  readonly notice: boolean;
}

const result = (tag: string, rows: number | null = null, notice = false): Result => ({ tag, rows, notice });

/** What the few statements of the conversations do: transactions, savepoints, prepared statements, cursors. */
export class Shop {
  transaction: 'I' | 'T' | 'E' = 'I';
  readonly statements = new Map<string, Text>();
  #savepoints = 0;

  statement(name: string): Text {
    const text = this.statements.get(name);
    if (text === undefined) throw new ServerError('26000', `prepared statement "${name}" does not exist`);
    return text;
  }

  /** Raw parsing. */
  parse(text: Text): void {
    if (text.startsWith('SELEC ')) throw new ServerError('42601', 'syntax error');
  }

  analyse(text: Text): void {
    const nonce = /^SELECT "(postern_\w+)"$/.exec(text);
    if (nonce !== null) throw new ServerError('42703', `column "${nonce[1]}" does not exist`);
    if (text.includes('no_such_column')) throw new ServerError('42703', 'column "no_such_column" does not exist');
  }

  hasRows(text: Text): boolean {
    return /^(?:SELECT|FETCH|EXECUTE|SHOW)/.test(text);
  }

  /** An error ends the implicit transaction, or aborts the block. */
  fail(): 'I' | 'E' {
    this.transaction = this.transaction === 'I' ? 'I' : 'E';
    return this.transaction;
  }

  execute(text: Text, cursors: Map<string, unknown>): Result {
    const [verb = '', name = ''] = text.split(/\s+/);
    if (text.startsWith('ROLLBACK TO')) return this.#rollbackTo();
    switch (verb) {
      case 'BEGIN':
        return this.#begin();
      case 'COMMIT':
      case 'ROLLBACK':
        return this.#end(verb);
      case 'SAVEPOINT':
        this.#needsBlock();
        this.#savepoints += 1;
        return result('SAVEPOINT');
      case 'PREPARE':
        if (this.statements.has(name)) throw new ServerError('42P05', 'already exists');
        this.statements.set(name, text.slice(text.indexOf(' AS ') + 4));
        return result('PREPARE');
      case 'DEALLOCATE':
        this.statement(name);
        this.statements.delete(name);
        return result('DEALLOCATE');
      case 'EXECUTE':
        return this.execute(this.statement(name), cursors);
      case 'DECLARE':
        this.#needsBlock();
        if (cursors.has(name)) throw new ServerError('42P03', 'already exists');
        cursors.set(name, { text: 'SELECT n FROM public.one', parameters: [], done: false, at: 0 });
        return result('DECLARE CURSOR');
      case 'FETCH':
        if (!cursors.has(text.split(' ').at(-1)!)) throw new ServerError('34000', 'no such cursor');
        return result('FETCH #', 1);
      case 'CLOSE':
        if (!cursors.delete(name)) throw new ServerError('34000', 'no such cursor');
        return result('CLOSE CURSOR');
      case 'SELECT':
        if (text.includes('1 / 0')) throw new ServerError('22012', 'division by zero');
        return result('SELECT #', text.includes('three') ? 3 : 1);
      default:
        return result(verb === 'INSERT' ? 'INSERT 0 1' : verb);
    }
  }

  #begin(): Result {
    const already = this.transaction !== 'I';
    this.transaction = 'T';
    return result('BEGIN', null, already);
  }

  #end(verb: string): Result {
    const tag = this.transaction === 'E' ? 'ROLLBACK' : verb;
    const none = this.transaction === 'I';
    this.transaction = 'I';
    this.#savepoints = 0;
    return result(tag, null, none);
  }

  #rollbackTo(): Result {
    this.#needsBlock();
    if (this.#savepoints === 0) throw new ServerError('3B001', 'savepoint does not exist');
    this.transaction = 'T';
    return result('ROLLBACK');
  }

  #needsBlock(): void {
    if (this.transaction === 'I') throw new ServerError('25P01', 'only in transaction blocks');
  }
}
