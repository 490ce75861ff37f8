import type { Logger } from 'pino';
import { type Check, openAdmin } from '../gateway/telemetry/admin.ts';
import type { Call } from './call.ts';
import { serviceNames } from './control/certificate.ts';
import { CertificateKeeper } from './control/keeper.ts';
import { type Foundation, layFoundation } from './foundation.ts';
import { Elector } from './kube/leader.ts';
import type { Installation } from './plan/types.ts';
import type { Caches } from './reconcile/caches.ts';
import { followClusterIssuer } from './reconcile/cluster-issuer.ts';
import { type Controllers, createControllers } from './reconcile/controllers.ts';
import { History } from './reconcile/history.ts';
import { Latest } from './reconcile/latest.ts';

export interface Operator {
  /** Resolves with the reason when the lease is lost: what is under way cannot be taken back, the process must exit. */
  readonly lost: Promise<string>;
  /** Ends all work, then gives the lease back. */
  stop(): Promise<void>;
}

/** Starts everything: caches and the control port at once, the controllers when this replica leads. */
export async function startOperator(call: Call, log: Logger): Promise<Operator> {
  const foundation = await layFoundation(call, log);
  const { caches, client, control, home, identity, metrics } = foundation;
  const ended = new AbortController();
  const lost = Promise.withResolvers<string>();
  const keeper: CertificateKeeper = new CertificateKeeper({
    kube: client,
    namespace: call.namespace,
    home,
    names: serviceNames(call.controlService, call.namespace),
    leads: () => elector.isLeader,
    log,
  });
  const controllers = assemble(foundation, keeper, ended.signal);
  const elector: Elector = new Elector({
    client,
    namespace: call.namespace,
    name: call.lease,
    identity,
    home,
    onElected() {
      void keeper.look();
      controllers.start();
    },
    onLost: lost.resolve,
    onMaster: metrics.kube.leader(call.lease),
    log,
  });
  keeper.subscribe((certificate) => {
    control.use(certificate);
    controllers.replan();
  });
  const admin = await openAdmin({ port: call.adminPort, live: [], ready: readiness(caches, keeper), metrics });
  foundation.start();
  keeper.start(ended.signal);
  elector.start();
  return {
    lost: lost.promise,
    async stop() {
      ended.abort();
      await controllers.stop();
      // Whoever takes the lease must find nobody at work.
      await elector.stop();
      await foundation.close();
      await admin.close();
    },
  };
}

/** Ready, leader or not: what a gateway asks for can be answered. */
function readiness(caches: Caches, keeper: CertificateKeeper): readonly Check[] {
  const synced = (): string | null => {
    const source = caches.all.find(({ store }) => !store.hasSynced);
    return source === undefined ? null : `${source.store.resource.plural}: ${source.store.incomplete}`;
  };
  const certified = (): string | null => (keeper.current === null ? 'there is no certificate yet' : null);
  return [
    { name: 'caches', check: synced },
    { name: 'control', check: certified },
  ];
}

/** The controllers, and what they are told of the world besides the caches. */
function assemble(foundation: Foundation, keeper: CertificateKeeper, signal: AbortSignal): Controllers {
  const { call, caches, client, control, log, metrics, recorder } = foundation;
  let listeningSince = Date.now();
  const clusterIssuer = followClusterIssuer({ client, log, signal, onChange: () => controllers.replan() });
  const controllers: Controllers = createControllers({
    client,
    log,
    hooks: metrics.kube.controller,
    world: {
      caches,
      latest: new Latest(),
      history: new History(),
      reports: control.reports,
      clusterIssuer,
      installation: () => installation(call, keeper),
      listeningSince: () => listeningSince,
      now: Date.now,
      log,
    },
    listeners: {
      metrics: metrics.gateways,
      event: (gateway, { type, reason, message }) =>
        recorder.record(gateway, { type, reason, action: 'Reconcile', note: message }),
    },
  });
  let serves = false;
  keeper.subscribe(() => {
    // Before the first certificate nobody could call.
    if (!serves) listeningSince = Date.now();
    serves = true;
  });
  return controllers;
}

function installation(call: Call, { current }: CertificateKeeper): Installation | null {
  if (current === null) return null;
  const { image, imagePullPolicy, imagePullSecrets, controlService, controlPort, namespace } = call;
  const address = `${controlService}.${namespace}.svc:${controlPort}`;
  const control = { address, ca: current.ca };
  return { image, imagePullPolicy, imagePullSecrets, control };
}
