import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import type { ConfigDocument, Revision, SecretSource, UpstreamAuthentication } from './config/document.ts';
import { UpstreamError } from './net/upstream-error.ts';

/** What `pg` calls the requests of a server. */
const REQUESTS: Readonly<Record<UpstreamAuthentication, string>> = {
  ScramSha256: 'authenticationSASL',
  Md5: 'authenticationMD5Password',
  Password: 'authenticationCleartextPassword',
};

/**
 * `pg` answers whatever it is asked: whoever stands in for the server could have the password in clear.
 * Test: "the catalogue's password is given in the ways that the manifest names, and in no other".
 */
function allowOnly(client: pg.Client, allowed: readonly UpstreamAuthentication[]): void {
  const { connection } = client as unknown as { readonly connection: EventEmitter & { readonly stream: Duplex } };
  for (const [method, request] of Object.entries(REQUESTS)) {
    if ((allowed as readonly string[]).includes(method)) continue;
    connection.once(request, () => {
      connection.stream.destroy(
        new Error(`the server asks for authentication ${method}, which spec.upstream.authentication does not name`),
      );
    });
  }
}

/** How the database behind the gateway is reached; secrets are read anew at every use, so a rotated one counts at once. */
export class UpstreamAccess {
  readonly #revision: () => Revision;
  readonly #secrets: SecretSource;

  constructor(revision: () => Revision, secrets: SecretSource) {
    this.#revision = revision;
    this.#secrets = secrets;
  }

  /** A role's user name and password; what the Secret does not hold is the role's own name and no password. */
  credentials(role: string): { readonly username: string; readonly password: string } {
    const secret = this.#upstream.roles.find(({ name }) => name === role)?.secret;
    const read = (key: string) =>
      secret === undefined ? undefined : this.#secrets.read(secret, key)?.toString('utf8');
    return { username: read('username')?.trim() ?? role, password: read('password')?.replace(/\r?\n$/, '') ?? '' };
  }

  /** The authorities that vouch for the database server; null: the system's. Throws an UpstreamError without its Secret. */
  ca(): Buffer | null {
    const { ca } = this.#upstream.tls;
    if (ca === null) return null;
    const bytes = this.#secrets.read(ca.secret, ca.key);
    if (bytes !== undefined) return bytes;
    // Never fall back to the system's authorities: they would vouch for servers that the manifest does not mean.
    throw new UpstreamError({
      code: 'TlsFailed',
      sqlstate: '08006',
      message: 'the database server cannot be verified',
      hint: 'Whoever runs the gateway must create it; spec.upstream.tls.caSecretRef names it.',
      detail: `Secret ${ca.secret}: ${ca.key} is missing`,
    });
  }

  /** A connection of the catalogue role, to the first host that answers. */
  async connectCatalog(database: string): Promise<pg.Client> {
    const { hosts, catalogRole, connectTimeout } = this.#upstream;
    const { username, password } = this.credentials(catalogRole);
    let last: unknown = new Error('no upstream host is configured');
    for (const { host, port } of hosts) {
      const client = new pg.Client({
        host,
        port,
        database,
        user: username,
        password,
        ssl: this.#ssl(host),
        connectionTimeoutMillis: connectTimeout,
        application_name: 'postern catalogue',
        keepAlive: true,
      });
      allowOnly(client, this.#upstream.authentication);
      client.on('error', () => {}); // the next query fails and reconnects
      try {
        await client.connect();
        return client;
      } catch (error) {
        last = new Error(`${host}:${port}: ${(error as Error).message}`, { cause: error });
        await client.end().catch(() => {});
      }
    }
    throw last;
  }

  get #upstream(): ConfigDocument['upstream'] {
    return this.#revision().document.upstream;
  }

  #ssl(host: string): pg.ClientConfig['ssl'] {
    const { mode } = this.#upstream.tls;
    if (mode === 'Disable') return false;
    const ca = this.ca()?.toString('utf8');
    // What the certificate must name; pg itself tells the server, unless it is an address.
    const name = mode === 'VerifyCA' ? { checkServerIdentity: () => undefined } : { host };
    return { rejectUnauthorized: mode !== 'Require', ...name, ...(ca === undefined ? {} : { ca }) };
  }
}
