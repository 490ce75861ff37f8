import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { ListenerTls, SecretKey, SecretSource } from '../config/document.ts';

export interface CertificatesConfig extends Pick<ListenerTls, 'minVersion'> {
  /** Name of a Secret with the keys tls.crt and tls.key; null: no TLS. */
  readonly secret: string | null;
  /** Authorities of client certificates; null: none are asked for. */
  readonly clientCa: SecretKey | null;
}

export interface CertificatesOptions {
  /** Asked at every connection: a new revision may change it. */
  readonly config: () => CertificatesConfig;
  readonly secrets: SecretSource;
  /** Called once for each bad pair; the certificate before it stays in force. The message names no key material. */
  readonly onError: (message: string) => void;
}

const OPTIONS =
  // As PostgreSQL: no resumption, which would carry a client certificate past its check; no renegotiation.
  constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION;

/** The listeners' certificate, read from its Secret anew for each connection and parsed when it has changed. */
export class Certificates {
  readonly #options: CertificatesOptions;
  #current: SecureContext | null = null;
  #seen: readonly (Buffer | undefined)[] = [];
  #config: CertificatesConfig | null = null;

  constructor(options: CertificatesOptions) {
    this.#options = options;
  }

  /** The context for the next connection; null: there is no usable certificate yet. */
  context(): SecureContext | null {
    const { secrets } = this.#options;
    const config = this.#options.config();
    const { secret, clientCa } = config;
    if (secret === null) return null;
    const read = [
      secrets.read(secret, 'tls.crt'),
      secrets.read(secret, 'tls.key'),
      clientCa === null ? undefined : secrets.read(clientCa.secret, clientCa.key),
    ];
    const changed = !isDeepStrictEqual(config, this.#config);
    if (changed || read.some((bytes, i) => !same(bytes, this.#seen[i]))) {
      // The certificate before may go on; authorities that a revision has taken away may not.
      if (!isDeepStrictEqual(clientCa, this.#config?.clientCa ?? null)) this.#current = null;
      [this.#config, this.#seen] = [config, read];
      this.#load(config, read);
    }
    return this.#current;
  }

  #load({ secret, clientCa, minVersion }: CertificatesConfig, [cert, key, ca]: readonly (Buffer | undefined)[]): void {
    const { onError } = this.#options;
    const stays = this.#current === null ? 'TLS is not available' : 'the certificate before it stays in force';
    if (cert === undefined || key === undefined) {
      onError(`Secret ${secret}: ${cert === undefined ? 'tls.crt' : 'tls.key'} is missing; ${stays}`);
      return;
    }
    if (clientCa !== null && ca === undefined) {
      onError(`Secret ${clientCa.secret}: ${clientCa.key} is missing; ${stays}`);
      return;
    }
    try {
      // Never left out: Node would believe the system's authorities about clients.
      const authorities = { ca: ca === undefined ? [] : checkedBundle(ca) };
      const versions = { minVersion: `TLSv${minVersion}` } as const;
      this.#current = createSecureContext({ cert, key, ...authorities, ...versions, secureOptions: OPTIONS });
    } catch (error) {
      onError(`Secret ${secret}: ${error instanceof Error ? error.message : 'not readable'}; ${stays}`);
    }
  }
}

/** Node ignores what it cannot read in a bundle; an empty one would then mean the system's authorities. */
function checkedBundle(pem: Buffer): Buffer {
  new X509Certificate(pem);
  return pem;
}

function same(a: Buffer | undefined, b: Buffer | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.equals(b);
}
