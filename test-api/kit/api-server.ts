import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { freePort } from '../../test/kit/free-port.ts';
import { createCertificateAuthority } from '../../test/kit/tls.ts';
import { asset } from './assets.ts';
import { type Http, openHttp } from './http.ts';
import { type OwnedProcess, startOwned } from './process.ts';

/** How to reach a running API server: plain data, so that it can be handed to other processes. */
export interface ApiServerAddress {
  readonly url: string;
  readonly ca: string;
  /** Of system:masters. */
  readonly adminToken: string;
}

/** A kube-apiserver with an etcd of its own, our CRDs applied; no controllers run. */
export interface ApiServer extends ApiServerAddress {
  readonly admin: Http;
  /** Where tests may put files; removed at the end. */
  readonly directory: string;
  readonly process: () => OwnedProcess;
  /** Kills the API server (etcd goes on) and starts it again; `while` runs in between. */
  restart(between?: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const CRDS = new URL('../../crds/', import.meta.url);

/** Ready in about five seconds. */
export async function startApiServer(): Promise<ApiServer> {
  const programs = { etcd: asset('etcd'), apiserver: asset('kube-apiserver') };
  const directory = await mkdtemp(path.join(os.tmpdir(), 'postern-api-'));
  const file = (name: string): string => path.join(directory, name);
  const adminToken = randomBytes(16).toString('hex');
  const ca = await writeCredentials(file, adminToken);
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const etcd = await startOwned(file('etcd.log'), [programs.etcd, ...etcdFlags(file('etcd'), client, peer)]);
  const start = () =>
    startOwned(file('apiserver.log'), [
      programs.apiserver,
      ...apiServerFlags(file, port, `http://127.0.0.1:${client}`),
    ]);
  let apiserver = await start();
  const url = `https://127.0.0.1:${port}`;
  const admin = openHttp(url, ca, adminToken);
  await ready(admin, apiserver);
  await applyCrds(admin);
  return {
    url,
    ca,
    adminToken,
    admin,
    directory,
    process: () => apiserver,
    async restart(between) {
      await apiserver.kill();
      await between?.();
      apiserver = await start();
      await ready(admin, apiserver);
    },
    async stop() {
      await admin.close();
      await apiserver.kill();
      await etcd.kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Certificate, ServiceAccount keys and the administrator's token; gives the CA. */
async function writeCredentials(file: (name: string) => string, adminToken: string): Promise<string> {
  const authority = await createCertificateAuthority('Test Kubernetes CA');
  const { keyPem, certPem } = await authority.server(['127.0.0.1', 'localhost', 'kubernetes.default.svc']);
  const accounts = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const files = {
    'server.crt': certPem,
    'server.key': keyPem,
    'accounts.key': accounts.privateKey,
    'accounts.pub': accounts.publicKey,
    'tokens.csv': `${adminToken},admin,admin,"system:masters"\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(file(name), text, { mode: 0o600 });
  return authority.caPem;
}

function etcdFlags(data: string, client: number, peer: number): string[] {
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  return [
    `--data-dir=${data}`,
    '--unsafe-no-fsync',
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
  ];
}

function apiServerFlags(file: (name: string) => string, port: number, etcd: string): string[] {
  return [
    `--etcd-servers=${etcd}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${file('generated')}`,
    `--tls-cert-file=${file('server.crt')}`,
    `--tls-private-key-file=${file('server.key')}`,
    `--token-auth-file=${file('tokens.csv')}`,
    `--service-account-issuer=${ISSUER}`,
    `--service-account-key-file=${file('accounts.pub')}`,
    `--service-account-signing-key-file=${file('accounts.key')}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    '--authorization-mode=RBAC',
    // No controller makes the ServiceAccount `default` that this one waits for.
    '--disable-admission-plugins=ServiceAccount',
    '--endpoint-reconciler-type=none',
  ];
}

async function ready(admin: Http, apiserver: OwnedProcess): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  let ended = false;
  void apiserver.ended().then(() => {
    ended = true;
  });
  for (;;) {
    const answer = await admin.ask('/readyz').catch(() => undefined);
    if (answer?.status === 200) return;
    if (ended || Date.now() > deadline) throw new Error(`kube-apiserver did not get ready:\n${await apiserver.log()}`);
    await sleep(50);
  }
}

const CRD_PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Applies crds/*.yaml, or those named, and waits until they are served. */
export async function applyCrds(admin: Http, only: RegExp = /\.yaml$/): Promise<void> {
  for (const name of (await readdir(CRDS)).filter((file) => only.test(file))) {
    const crd = parse(await readFile(new URL(name, CRDS), 'utf8'));
    await admin.must(`${CRD_PATH}/${crd.metadata.name}?fieldManager=tests&force=true`, {
      method: 'PATCH',
      contentType: 'application/apply-patch+yaml',
      body: crd,
    });
    await established(admin, crd.metadata.name, crd.spec.names.plural);
  }
}

async function established(admin: Http, name: string, plural: string): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const { body } = await admin.ask(`${CRD_PATH}/${name}`);
    const conditions: { type: string; status: string }[] = body.status?.conditions ?? [];
    const yes = conditions.some(({ type, status }) => type === 'Established' && status === 'True');
    if (yes && (await admin.ask(`/apis/postern.dev/v1alpha1/${plural}`)).status === 200) return;
    await sleep(25);
  }
  throw new Error(`${name} was not established in time`);
}

/** A kubeconfig for one token. */
export function kubeconfig({ url, ca }: ApiServerAddress, token: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
    ],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  });
}
