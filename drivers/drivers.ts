import path from 'node:path';
import type { PostgresMajor } from '../test/kit/postgres.ts';
import { runProgram } from './client-process.ts';
import type { Tool } from './tools.ts';

/** A foreign client: its folder's name, what it needs, how it is built and run (in its folder). */
export interface Driver {
  readonly name: string;
  readonly version: string;
  readonly tools: readonly Tool[];
  readonly prepare: readonly (readonly string[])[];
  readonly run: readonly string[];
  /** Which server to test it with. */
  readonly postgres: () => Promise<PostgresMajor>;
}

const newest = async (): Promise<PostgresMajor> => 18;

/** pg_dump refuses servers newer than itself, and psql's own questions fit servers up to its version. */
async function asOldAs(program: string): Promise<PostgresMajor> {
  const { stdout } = await runProgram(program, ['--version'], { env: {} });
  const major = Number(/(\d+)/.exec(stdout)?.[1] ?? 0);
  return Math.min(18, Math.max(14, major)) as PostgresMajor;
}

const CLIENT: Tool = { command: 'psql', apt: ['postgresql-client'] };
const DUMP: Tool = { command: 'pg_dump', apt: ['postgresql-client'] };
const PYTHON: Tool = { command: 'python3', probe: ['-c', 'import venv, ensurepip'], apt: ['python3-venv'] };
const GO: Tool = { command: 'go', probe: ['version'], apt: ['golang-go'] };
const JAVA: Tool = { command: 'javac', apt: ['default-jdk-headless'] };
const MAVEN: Tool = { command: 'mvn', apt: ['maven'] };

function python(name: string, version: string): Driver {
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', 'requirements.txt'];
  return {
    name,
    version,
    tools: [PYTHON],
    prepare: [
      ['python3', '-m', 'venv', '.venv'],
      [path.join('.venv', 'bin', 'python'), ...pip],
    ],
    run: [path.join('.venv', 'bin', 'python'), 'checks.py'],
    postgres: newest,
  };
}

export const DRIVERS: readonly Driver[] = [
  {
    name: 'psql',
    version: 'as installed',
    tools: [CLIENT],
    prepare: [],
    run: [process.execPath, 'checks.ts'],
    postgres: () => asOldAs('psql'),
  },
  {
    name: 'pgdump',
    version: 'as installed',
    tools: [DUMP],
    prepare: [],
    run: [process.execPath, 'checks.ts'],
    postgres: () => asOldAs('pg_dump'),
  },
  python('psycopg', '3.3.9'),
  python('asyncpg', '0.32.0'),
  {
    name: 'pgx',
    version: '5.12.0',
    tools: [GO],
    prepare: [['go', 'build', '-o', 'target/checks', '.']],
    run: [path.join('target', 'checks')],
    postgres: newest,
  },
  {
    name: 'pgjdbc',
    version: '42.7.13',
    tools: [JAVA, MAVEN],
    prepare: [['mvn', '--quiet', '--batch-mode', 'compile']],
    run: ['java', '-cp', ['target/classes', 'target/dependency/*'].join(path.delimiter), 'dev.postern.drivers.Checks'],
    postgres: newest,
  },
];
