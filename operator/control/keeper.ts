import { createOwning, type Home, type Owning } from '../kube/home.ts';
import type { KubeClient, KubeObject, ObjectKey, Resource } from '../kube/types.ts';
import { type Issued, issueAll, issueLeaf, renewAuthority, type ServingCertificate } from './certificate.ts';
import type { ControlLog } from './inputs.ts';
import { inspect } from './inspect.ts';

export const CONTROL_SECRET = 'postern-control-tls';

const SECRETS: Resource = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };

export interface KeeperOptions {
  readonly kube: Pick<KubeClient, 'get' | 'create' | 'update'>;
  /** The operator's own namespace. */
  readonly namespace: string;
  readonly home: Home;
  readonly names: readonly string[];
  /** Whether this replica leads now: the others only read. */
  readonly leads: () => boolean;
  readonly log: ControlLog;
  readonly now?: () => number;
  /** Milliseconds between looks at the Secret, which may only be got, not watched; default 30 s. */
  readonly interval?: number;
}

const INTERVAL = 30_000;
/** While there is no certificate: nobody can dial. */
const IMPATIENT = 2000;

/**
 * Keeps the certificate of the control port: the leader creates and renews the Secret, all replicas load it. What somebody
 * else put there without a key of its authority is used as it is.
 */
export class CertificateKeeper {
  readonly #options: KeeperOptions;
  readonly #key: ObjectKey;
  readonly #owning: Owning;
  readonly #listeners: ((certificate: ServingCertificate) => void)[] = [];
  #current: ServingCertificate | null = null;
  #said: string | null = null;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#key = { resource: SECRETS, namespace: options.namespace, name: CONTROL_SECRET };
    this.#owning = createOwning(options.home);
  }

  /** The last one that was good; null: none yet. */
  get current(): ServingCertificate | null {
    return this.#current;
  }

  /** Calls back with each new one, and at once with the present one. */
  subscribe(listener: (certificate: ServingCertificate) => void): void {
    this.#listeners.push(listener);
    if (this.#current !== null) listener(this.#current);
  }

  /** Looks at the Secret again and again until the signal aborts. */
  start(signal: AbortSignal): void {
    let timer: NodeJS.Timeout;
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
    const again = async (): Promise<void> => {
      await this.look();
      if (signal.aborted) return;
      const { interval = INTERVAL } = this.#options;
      timer = setTimeout(again, this.#current === null ? Math.min(interval, IMPATIENT) : interval);
    };
    void again();
  }

  /** One look; creates or renews what is due where this replica leads. Never throws. */
  async look(): Promise<void> {
    try {
      const secret = await this.#get();
      if (secret === null) await this.#create();
      else await this.#keep(secret);
    } catch (error) {
      const reason = (error as { readonly reason?: unknown }).reason;
      // Another replica was faster: what it wrote is seen at the next look.
      if (reason === 'Conflict' || reason === 'AlreadyExists') return;
      this.#say(`the Secret cannot be read or written (${String(reason ?? (error as Error).message)})`);
    }
  }

  async #get(): Promise<KubeObject | null> {
    try {
      return await this.#options.kube.get(this.#key);
    } catch (error) {
      if ((error as { readonly reason?: unknown }).reason === 'NotFound') return null;
      throw error;
    }
  }

  async #create(): Promise<void> {
    const { kube, namespace, names, leads } = this.#options;
    if (!leads()) return;
    const issued = await issueAll(names, this.#now());
    const labels = { 'app.kubernetes.io/managed-by': 'postern', 'app.kubernetes.io/name': 'postern' };
    const secret = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', data: encodeData(issued) };
    await this.#owning.write({ name: CONTROL_SECRET, namespace, labels }, (metadata) =>
      kube.create(SECRETS, { ...secret, metadata }),
    );
    this.#adopt(issued);
  }

  async #keep(secret: KubeObject): Promise<void> {
    const { names, leads } = this.#options;
    const issued = decodeData(secret);
    const { due, usable, problem } = inspect(issued, names, this.#now());
    if (problem === null) this.#said = null;
    else this.#say(problem);
    if (usable) this.#adopt(issued);
    if (!leads() || issued.caKey === null) return;
    // The whole object with its resourceVersion: a change in between is a Conflict, and is looked at first.
    const update = (object: KubeObject) =>
      this.#owning.write(object.metadata, (metadata) => this.#options.kube.update(SECRETS, { ...object, metadata }));
    if (due === 'Nothing') {
      // Of an earlier version, or of a ServiceAccount that was made anew.
      if ((await this.#owning.of(secret.metadata)) !== secret.metadata) await update(secret);
      return;
    }
    const renewed = await this.#renew(issued, due);
    await update({ ...secret, data: { ...(secret.data as object | undefined), ...encodeData(renewed) } });
    this.#options.log.info({ name: CONTROL_SECRET, due }, 'the serving certificate was renewed');
    this.#said = null;
    this.#adopt(renewed);
  }

  async #renew(issued: Issued, due: 'Leaf' | 'Authority' | 'All'): Promise<Issued> {
    if (due === 'Leaf') return await issueLeaf(issued, this.#options.names, this.#now());
    if (due === 'Authority') return await renewAuthority(issued, this.#now());
    return await issueAll(this.#options.names, this.#now());
  }

  #adopt({ ca, cert, key }: Issued): void {
    const { ca: knownCa, cert: knownCert } = this.#current ?? {};
    if (ca === knownCa && cert === knownCert) return;
    this.#current = { ca, cert, key };
    for (const listener of this.#listeners) listener(this.#current);
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  /** Once, until it is something else. */
  #say(problem: string): void {
    if (problem === this.#said) return;
    this.#said = problem;
    this.#options.log.error(
      { secret: CONTROL_SECRET, problem },
      'the serving certificate of the control stream is not good',
    );
  }
}

function encodeData({ ca, caKey, cert, key }: Issued): Record<string, string> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return {
    'ca.crt': base64(ca),
    'ca.key': base64(caKey ?? ''),
    'tls.crt': base64(cert),
    'tls.key': base64(key),
  };
}

function decodeData({ data }: KubeObject): Issued {
  const fields = (typeof data === 'object' && data !== null ? data : {}) as Readonly<Record<string, unknown>>;
  const read = (key: string) =>
    Buffer.from(typeof fields[key] === 'string' ? fields[key] : '', 'base64').toString('utf8');
  const caKey = read('ca.key');
  // A Secret with nothing in it is nobody else's.
  const others = caKey === '' && read('tls.crt') !== '';
  return { ca: read('ca.crt'), cert: read('tls.crt'), key: read('tls.key'), caKey: others ? null : caKey };
}
