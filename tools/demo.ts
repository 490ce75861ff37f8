/** `make demo`: PostgreSQL, an OpenID issuer and a gateway from examples/quickstart, and a short tour. `--once`: the tour alone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { loadProject } from '../cli/project.ts';
import { makeRevision } from '../gateway/config/revision.ts';
import { ConfigSource } from '../gateway/config/source.ts';
import { startGateway } from '../gateway/gateway.ts';
import { createLogger } from '../gateway/telemetry/logs.ts';
import { isFree } from '../test/kit/free-port.ts';
import { startIssuer } from '../test/kit/issuer.ts';
import { startPostgres } from '../test/kit/postgres.ts';
import { createCertificateAuthority } from '../test/kit/tls.ts';

const PEOPLE = [
  { name: 'ann', email: 'ann@example.com', groups: ['data-analysts'] },
  { name: 'dora', email: 'dora@example.com', groups: ['dba'] },
];
const SCHEMA = `
  CREATE ROLE analyst_ro LOGIN PASSWORD 'only-the-gateway-knows-1';
  CREATE ROLE app_rw LOGIN PASSWORD 'only-the-gateway-knows-2';`;
const TABLES = `
  CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, amount numeric NOT NULL);
  INSERT INTO orders VALUES (1, 'anvil', 120), (2, 'rope', 15), (3, 'lantern', 40);
  ALTER TABLE orders OWNER TO app_rw; GRANT SELECT, UPDATE, DELETE ON orders TO analyst_ro;
  GRANT CREATE ON SCHEMA public TO app_rw;`;

const directory = mkdtempSync(join(tmpdir(), 'postern-demo-'));
const once = process.argv.includes('--once');
console.log('Starting PostgreSQL 18, an OpenID issuer and a gateway …');
const server = await startPostgres({ version: 18, initSql: SCHEMA });
await server.query('CREATE DATABASE shop OWNER app_rw');
await server.query(TABLES, 'shop');
const issuer = await startIssuer();
const authority = await createCertificateAuthority('Postern demo');
writeManifests(await authority.server(['localhost', '127.0.0.1']));
const project = loadProject([directory], null);
if (!project.ok) throw new Error(project.errors.join('\n'));
const gateway = await startGateway({
  config: new ConfigSource(makeRevision(project.document)),
  secrets: project.secrets,
  directory: join(directory, 'audit'),
  host: '127.0.0.1',
  ports: new Map([['token', once || !(await isFree(6432)) ? 0 : 6432]]),
  adminPort: 0,
  adminSocket: null,
  peersPort: null,
  peers: [],
  control: null,
  log: createLogger({ level: 'warn' }),
});
const port = gateway.ports.get('token')!;
let failures = 0;
try {
  await tour();
  await showRecords();
  if (!once) await stayUp();
} finally {
  await gateway.drain();
  await issuer.close();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
console.log(failures === 0 ? 'every step of the tour went as it should' : `${failures} steps went wrong`);
process.exit(failures === 0 ? 0 : 1);

/** The quick start's manifests, with the ports of this run and a certificate made for it. */
function writeManifests(certificate: { readonly certPem: string; readonly keyPem: string }): void {
  const source = new URL('../examples/quickstart/', import.meta.url);
  for (const file of readdirSync(source).filter((name) => name.endsWith('.yaml'))) {
    const documents = parseAllDocuments(readFileSync(new URL(file, source), 'utf8')).map((document) =>
      parse(String(document)),
    );
    for (const object of documents) {
      if (object.kind !== 'PostgresGateway') continue;
      object.spec.upstream.port = server.port;
      object.spec.identity.issuers[0].url = issuer.url;
      object.spec.audit = { sinks: [] }; // the tour shows the records itself
    }
    writeFileSync(join(directory, file), documents.map((object) => stringify(object)).join('---\n'));
  }
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'orders-gateway-tls', namespace: 'shop' },
    stringData: { 'tls.crt': certificate.certPem, 'tls.key': certificate.keyPem },
  };
  writeFileSync(join(directory, 'tls.yaml'), stringify(secret));
  writeFileSync(join(directory, 'ca.pem'), authority.caPem);
}

/** From the issuer's token endpoint, for an hour. */
function token({ email, groups }: (typeof PEOPLE)[number]): Promise<string> {
  return issuer.mint({ username: email, groups });
}

async function connect(name: string): Promise<pg.Client> {
  const person = PEOPLE.find((p) => p.name === name)!;
  const password = await token(person);
  const client = new pg.Client({
    host: 'localhost',
    port,
    database: 'shop',
    user: person.email,
    password,
    ssl: { ca: authority.caPem },
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function tour(): Promise<void> {
  const ann = await connect('ann');
  await step(ann, 'ann, an analyst', 'SELECT * FROM orders', null);
  await step(ann, 'ann', 'DROP TABLE orders', 'no-ddl');
  await step(ann, 'ann', 'SELECT count(*) FROM orders', null);
  await step(ann, 'ann', 'DELETE FROM orders', 'never-unbounded');
  await ann.end();
  const dora = await connect('dora');
  await step(dora, 'dora, a DBA', 'CREATE TABLE archive AS SELECT * FROM orders', null);
  await step(dora, 'dora', 'DROP TABLE archive', null);
  await dora.end();
}

/** Runs a statement; `deniedBy` names the rule that must refuse it, null: it must run. */
async function step(client: pg.Client, who: string, sql: string, deniedBy: string | null): Promise<void> {
  console.log(`\n${who}> ${sql}`);
  const outcome = await client.query(sql).then(
    (result) => ({
      text: `${result.command} ${result.rowCount ?? ''}\n${result.rows.map((row) => `  ${JSON.stringify(row)}`).join('\n')}`.trimEnd(),
      good: deniedBy === null,
    }),
    (error: pg.DatabaseError) => ({
      text: `ERROR ${error.code}: ${error.message}${error.hint ? `\nHINT: ${error.hint}` : ''}`,
      good: deniedBy !== null && error.code === '42501' && error.message.includes(deniedBy),
    }),
  );
  console.log(outcome.text);
  if (outcome.good) return;
  failures += 1;
  console.log(`  ✗ expected ${deniedBy === null ? 'it to run' : `a refusal by rule ${deniedBy}`}`);
}

async function showRecords(): Promise<void> {
  const files = readdirSync(join(directory, 'audit'), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ndjson'));
  const lines = files
    .flatMap((name) => readFileSync(join(directory, 'audit', name), 'utf8').split('\n'))
    .filter((line) => line !== '');
  console.log(`\nThe audit log has ${lines.length} records; the ones of the refused DROP TABLE:`);
  const about = lines.filter((line) => line.includes('DROP TABLE orders'));
  for (const line of about) console.log(`  ${line}`);
  if (about.length === 0) failures += 1;
}

async function stayUp(): Promise<void> {
  console.log('\nTry it yourself (tokens last an hour):');
  for (const person of PEOPLE) {
    const target = `host=localhost port=${port} dbname=shop user=${person.email} sslmode=verify-full sslrootcert=${join(directory, 'ca.pem')}`;
    console.log(`\n  PGPASSWORD='${await token(person)}' psql "${target}"`);
  }
  console.log('\nCtrl-C ends it.');
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}
