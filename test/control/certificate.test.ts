import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Issued, issueAll, issueLeaf, readBundle, renewAuthority } from '../../operator/control/certificate.ts';
import { inspect } from '../../operator/control/inspect.ts';
import { CertificateKeeper, CONTROL_SECRET, type KeeperOptions } from '../../operator/control/keeper.ts';
import type { Home } from '../../operator/kube/home.ts';
import type { KubeObject, ObjectKey } from '../../operator/kube/types.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { HOST, NAMES, SILENT_LOG, Stage } from './kit.ts';

const DAY = 86_400_000;
const NOW = Date.now();

describe('a serving certificate', () => {
  it('names the Service in every form and lives as long as it should', async () => {
    const issued = await issueAll(NAMES, NOW);
    const leaf = new X509Certificate(issued.cert);
    const [authority] = readBundle(issued.ca);
    for (const name of ['postern-control', `${HOST}.cluster.local`, 'postern-control.postern', HOST])
      expect(leaf.checkHost(name, { subject: 'never' })).toBe(name);
    expect(leaf.checkHost('postern-control.other.svc')).toBeUndefined();
    expect(Math.round((leaf.validToDate.getTime() - NOW) / DAY)).toBe(90);
    expect(Math.round((authority!.validToDate.getTime() - NOW) / DAY)).toBe(3650);
    expect([authority!.ca, leaf.ca, leaf.checkIssued(authority!)]).toEqual([true, false, true]);
    expect(inspect(issued, NAMES, NOW)).toEqual({ due: 'Nothing', usable: true, problem: null });
  });

  it('is renewed at two thirds of its life, by the same authority', async () => {
    const issued = await issueAll(NAMES, NOW);
    expect(inspect(issued, NAMES, NOW + 59 * DAY)).toMatchObject({ due: 'Nothing', usable: true });
    expect(inspect(issued, NAMES, NOW + 61 * DAY)).toEqual({ due: 'Leaf', usable: true, problem: null });
    expect(inspect(issued, NAMES, NOW + 91 * DAY)).toMatchObject({ due: 'Leaf', usable: false });
    const renewed = await issueLeaf(issued, NAMES, NOW + 61 * DAY);
    expect([renewed.ca, renewed.caKey]).toEqual([issued.ca, issued.caKey]);
    expect(renewed.key).not.toBe(issued.key);
    expect(inspect(renewed, NAMES, NOW + 61 * DAY).due).toBe('Nothing');
  });

  it('its authority is renewed years before its end, beside a young certificate, and the old one is trusted on', async () => {
    const issued = await issueAll(NAMES, NOW);
    const late = NOW + 2500 * DAY;
    const old = await issueLeaf(issued, NAMES, late);
    expect(inspect(old, NAMES, late + 40 * DAY).due).toBe('Nothing');
    expect(inspect(old, NAMES, late + 10 * DAY)).toEqual({ due: 'Authority', usable: true, problem: null });
    const rotated = await renewAuthority(old, late + 10 * DAY);
    expect([rotated.cert, rotated.key]).toEqual([old.cert, old.key]);
    expect(readBundle(rotated.ca).map(String)).toEqual([expect.anything(), String(readBundle(issued.ca)[0])]);
    expect(inspect(rotated, NAMES, late + 10 * DAY)).toEqual({ due: 'Nothing', usable: true, problem: null });
    const next = await issueLeaf(rotated, NAMES, late + 61 * DAY);
    expect(inspect(next, NAMES, late + 61 * DAY).due).toBe('Nothing');
    expect(new X509Certificate(next.cert).verify(readBundle(rotated.ca)[0]!.publicKey)).toBe(true);
    const far = await issueLeaf(rotated, NAMES, late + 3000 * DAY);
    // An authority that has expired leaves the bundle with the next renewal.
    expect(readBundle((await renewAuthority(far, late + 3000 * DAY)).ca)).toHaveLength(2);
  });

  it('the last certificates of an authority do not outlive it', async () => {
    const issued = await issueAll(NAMES, NOW);
    const leaf = new X509Certificate((await issueLeaf(issued, NAMES, NOW + 3600 * DAY)).cert);
    expect(leaf.validToDate).toEqual(readBundle(issued.ca)[0]!.validToDate);
  });

  const change = (parts: Partial<Issued>) => async (issued: Issued) => ({ ...issued, ...parts });
  it.each([
    ['a CA of nonsense', change({ ca: 'x' }), 'All'],
    ['a CA that cannot be read', change({ ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }), 'All'],
    ['another’s CA key', async (issued) => ({ ...issued, caKey: (await issueAll(NAMES, NOW)).caKey }), 'All'],
    ['a CA that is none', async (issued) => ({ ...issued, ca: issued.cert, caKey: issued.key }), 'All'],
    ['a CA key of nonsense', change({ caKey: 'x' }), 'All'],
    ['nothing at all', change({ ca: '', caKey: '', cert: '', key: '' }), 'All'],
    ['no certificate', change({ cert: '' }), 'Leaf'],
    ['a key of nonsense', change({ key: 'x' }), 'Leaf'],
    ['another’s key', async (issued) => ({ ...issued, key: (await issueAll(NAMES, NOW)).key }), 'Leaf'],
    ['a certificate for other names', (issued) => issueLeaf(issued, ['x.svc'], NOW), 'Leaf'],
    [
      'a certificate of another authority',
      async (issued) => {
        const { cert, key } = await issueAll(NAMES, NOW);
        return { ...issued, cert, key };
      },
      'Leaf',
    ],
  ] satisfies [string, (issued: Issued) => Promise<Issued>, string][])('%s is noticed', async (_name, spoil, due) => {
    const spoiled = await spoil(await issueAll(NAMES, NOW));
    expect(inspect(spoiled, NAMES, NOW)).toEqual({ due, usable: false, problem: expect.any(String) });
  });

  it('one of an earlier version, with fewer names, serves until it is renewed', async () => {
    const [dialled] = NAMES;
    const old = await issueAll([dialled!], NOW);
    expect(inspect(old, NAMES, NOW)).toEqual({ due: 'Leaf', usable: true, problem: null });
    expect(inspect({ ...old, caKey: null }, NAMES, NOW)).toEqual({ due: 'Nothing', usable: true, problem: null });
  });
});

/** One Secret of an API server. */
class FakeSecret {
  stored: KubeObject | null = null;
  writes = 0;
  #version = 0;

  readonly kube: KeeperOptions['kube'] = {
    get: async (_key: ObjectKey) => {
      if (this.stored === null) throw failure('NotFound');
      return structuredClone(this.stored);
    },
    create: async (_resource, object) => {
      if (this.stored !== null) throw failure('AlreadyExists');
      return this.#store(object);
    },
    update: async (_resource, object) => {
      if (object.metadata.resourceVersion !== this.stored?.metadata.resourceVersion) throw failure('Conflict');
      return this.#store(object);
    },
  };

  put(fields: Readonly<Record<string, string>>): void {
    const data = Object.fromEntries(
      Object.entries(fields).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    );
    this.#store({ apiVersion: 'v1', kind: 'Secret', metadata: { name: CONTROL_SECRET, namespace: 'postern' }, data });
  }

  #store(object: KubeObject): KubeObject {
    this.#version += 1;
    this.writes += 1;
    this.stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    return this.stored;
  }
}

function failure(reason: string): Error {
  return Object.assign(new Error(reason), { reason });
}

describe('the keeper of the Secret', () => {
  const keeper = (secret: FakeSecret, leads: boolean, now = () => NOW, home: Home = async () => null) => {
    const errors: unknown[] = [];
    const log = { ...SILENT_LOG, error: (fields: unknown) => void errors.push(fields) };
    const made = new CertificateKeeper({
      kube: secret.kube,
      namespace: 'postern',
      home,
      names: NAMES,
      leads: () => leads,
      log,
      now,
    });
    return Object.assign(made, { errors });
  };

  it('the leader creates it, standbys load it and write nothing', async () => {
    const secret = new FakeSecret();
    const [leader, standby] = [keeper(secret, true), keeper(secret, false)];
    await standby.look();
    expect([secret.stored, standby.current]).toEqual([null, null]);
    await leader.look();
    await standby.look();
    expect(standby.current).toEqual(leader.current);
    expect(secret.stored).toMatchObject({
      type: 'kubernetes.io/tls',
      metadata: { name: CONTROL_SECRET, namespace: 'postern' },
    });
    for (let i = 0; i < 3; i++) for (const one of [leader, standby]) await one.look();
    expect([secret.writes, leader.errors, standby.errors]).toEqual([1, [], []]);
  });

  it('two that both believe that they lead agree on one', async () => {
    const secret = new FakeSecret();
    const both = [keeper(secret, true), keeper(secret, true)];
    await Promise.all(both.map((one) => one.look()));
    await Promise.all(both.map((one) => one.look()));
    expect(both[0]!.current).toEqual(both[1]!.current);
    expect([secret.writes, both[0]!.errors, both[1]!.errors]).toEqual([1, [], []]);
  });

  it('is renewed in time by one of them, and all load that', async () => {
    const secret = new FakeSecret();
    let now = NOW;
    const all = [true, true, false].map((leads) => keeper(secret, leads, () => now));
    for (const one of all) await one.look();
    const before = all[0]!.current;
    now = NOW + 61 * DAY;
    await Promise.all(all.map((one) => one.look()));
    for (const one of all) await one.look();
    expect(secret.writes).toBe(2);
    for (const one of all) expect(one.current).toEqual(all[0]!.current);
    expect(all[0]!.current?.cert).not.toBe(before?.cert);
    expect(all[0]!.current?.ca).toBe(before?.ca);
  });

  it('what is broken is said once and made anew by the leader; a standby goes on with what it had', async () => {
    const secret = new FakeSecret();
    const [leader, standby] = [keeper(secret, true), keeper(secret, false)];
    for (const one of [leader, standby]) await one.look();
    const good = standby.current;
    secret.put({ 'ca.crt': 'x', 'ca.key': 'y', 'tls.crt': 'z', 'tls.key': '', mine: 'stays' });
    for (let i = 0; i < 3; i++) await standby.look();
    expect([standby.current, standby.errors.length]).toEqual([good, 1]);
    await leader.look();
    await standby.look();
    expect(standby.current).toEqual(leader.current);
    expect(standby.current).not.toEqual(good);
    expect(secret.stored).toMatchObject({ data: { mine: Buffer.from('stays').toString('base64') } });
    expect(JSON.stringify([leader.errors, standby.errors])).not.toContain('PRIVATE');
  });

  it('what somebody else issues is used and never written, whatever is wrong with it', async () => {
    const secret = new FakeSecret();
    const authority = await createCertificateAuthority('Company CA');
    const certificate = await authority.server(NAMES);
    secret.put({ 'ca.crt': authority.caPem, 'tls.crt': certificate.certPem, 'tls.key': certificate.keyPem });
    const owner = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'postern-operator', uid: '1' };
    const leader = keeper(secret, true, undefined, async () => owner);
    await leader.look();
    expect(leader.current).toEqual({ ca: authority.caPem, cert: certificate.certPem, key: certificate.keyPem });
    secret.put({ 'ca.crt': authority.caPem, 'tls.crt': 'x', 'tls.key': 'y' });
    await leader.look();
    expect([secret.writes, leader.errors.length]).toEqual([2, 1]);
    expect(leader.current?.cert).toBe(certificate.certPem);
  });

  it('goes with the installation: it belongs to the ServiceAccount, whatever else it belongs to', async () => {
    const secret = new FakeSecret();
    const owner = (uid: string) => ({ apiVersion: 'v1', kind: 'ServiceAccount', name: 'postern-operator', uid });
    const people = { apiVersion: 'v1', kind: 'ConfigMap', name: 'mine', uid: '3' };
    const owners = () => secret.stored?.metadata.ownerReferences;
    await keeper(secret, true).look();
    expect(owners()).toBeUndefined();
    for (const leads of [false, true, true]) {
      await keeper(secret, leads, undefined, async () => owner('1')).look();
      expect(owners()).toEqual(leads ? [owner('1')] : undefined);
    }
    secret.stored = {
      ...secret.stored!,
      metadata: { ...secret.stored!.metadata, ownerReferences: [people, owner('1')] },
    };
    await keeper(secret, true, undefined, async () => owner('2')).look();
    expect([owners(), secret.writes]).toEqual([[people, owner('2')], 3]);
    secret.stored = null;
    await keeper(secret, true, undefined, async () => owner('2')).look();
    expect(owners()).toEqual([owner('2')]);
  });

  it('an API server that fails is said once, and looked at again', async () => {
    const secret = new FakeSecret();
    const leader = keeper(secret, true);
    const { get } = secret.kube;
    Object.assign(secret.kube, { get: () => Promise.reject(failure('Forbidden')) });
    for (let i = 0; i < 3; i++) await leader.look();
    expect(leader.errors).toHaveLength(1);
    Object.assign(secret.kube, { get });
    await leader.look();
    expect(leader.current).not.toBeNull();
  });
});

describe('a running server', () => {
  const WAIT = { timeout: 15_000, interval: 10 };
  let stage: Stage;

  afterEach(async () => {
    await stage.close();
  });

  const servedBy = async (port: number) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, servername: HOST });
    await once(socket, 'secureConnect');
    const { raw } = socket.getPeerCertificate();
    socket.destroy();
    return new X509Certificate(raw).toString().trim();
  };

  it('lets nobody in before it has a certificate', async () => {
    stage = await new Stage().open();
    const { server, report } = await stage.replica({}, null);
    const { client } = stage.gateway(server.port);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([client.open, stage.cluster.reviews]).toEqual([0, []]);
    server.use(stage.certificate);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
  });

  it('takes a new certificate without a restart: open streams go on, new ones get it', async () => {
    stage = await new Stage().open();
    const { server, report, metrics } = await stage.replica();
    const { client } = stage.gateway(server.port);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    const renewed = await issueLeaf(stage.certificate, NAMES, Date.now());
    server.use(renewed);
    expect(await servedBy(server.port)).toBe(renewed.cert.trim());
    expect([client.open, metrics.counts.opened]).toEqual([1, 1]);
  });

  it('changes its authority: gateways that know both dial it before and after', async () => {
    stage = await new Stage().open();
    const { server, report, metrics } = await stage.replica();
    const rotated = await renewAuthority(stage.certificate, Date.now());
    server.use(rotated);
    // A gateway that has not got the new bundle yet.
    const early = stage.gateway(server.port);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    await early.client.close();
    await stage.writeCa(rotated.ca);
    server.use(await issueLeaf(rotated, NAMES, Date.now()));
    stage.gateway(server.port);
    await vi.waitFor(() => expect(metrics.counts.opened).toBe(2), WAIT);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
  });
});
