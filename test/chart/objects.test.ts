import { describe, expect, test } from 'vitest';
import { BUNDLE, list, type Manifest, manifests, RENDERED, read } from './kit.ts';

const podOf = (object: Manifest): Manifest =>
  object.kind === 'Pod'
    ? object
    : ['Deployment', 'StatefulSet', 'Job'].includes(object.kind)
      ? object.spec.template
      : null;

describe.each([...RENDERED, 'examples/cluster/postgres.yaml', 'examples/cluster/client.yaml'])('%s', (path) => {
  const pods = manifests(path)
    .map(podOf)
    .filter((pod) => pod !== null);

  test('every pod passes Pod Security "restricted", with a root that it cannot write to', () => {
    expect(pods.length).toBeGreaterThan(0);
    for (const { spec } of pods) {
      expect(spec).not.toMatchObject({ hostNetwork: true });
      expect([spec.hostPID, spec.hostIPC, spec.hostNetwork]).toEqual([undefined, undefined, undefined]);
      expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(spec.securityContext.runAsUser).toBeGreaterThan(0);
      for (const volume of spec.volumes ?? []) expect(Object.keys(volume)).not.toContain('hostPath');
      for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          readOnlyRootFilesystem: true,
        });
        for (const port of container.ports ?? []) expect(port.hostPort).toBeUndefined();
      }
    }
  });
});

describe.each(RENDERED)('%s', (path) => {
  const objects = manifests(path);

  test('every object has a name of its own, and its namespace where its kind has one', () => {
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    const global = /^(Cluster|CustomResource|ValidatingAdmission|Namespace$)/;
    for (const { kind, metadata } of objects) expect(metadata.namespace !== undefined, kind).toBe(!global.test(kind));
  });

  test('what is text is text, also where it looks like a number', () => {
    const texts = objects.flatMap(({ metadata, spec }) => {
      const pod = spec?.template ?? { metadata: {}, spec: {} };
      const maps = [metadata.labels, metadata.annotations, pod.metadata.labels, pod.metadata.annotations];
      return [
        ...[metadata.name, metadata.namespace, pod.spec.priorityClassName].filter((text) => text !== undefined),
        ...[...maps, pod.spec.nodeSelector].flatMap((map) => Object.values(map ?? {})),
        ...(pod.spec.imagePullSecrets ?? []).map(({ name }: Manifest) => name),
        ...(pod.spec.containers ?? []).flatMap(({ args }: Manifest) => args ?? []),
      ];
    });
    expect(texts.filter((text) => typeof text !== 'string')).toEqual([]);
  });

  test('what selects the operator selects it, whatever labels its pods were given besides', () => {
    const operator = objects.find(({ kind }) => kind === 'Deployment');
    const { labels } = operator.spec.template.metadata;
    const selectors = objects.flatMap(({ kind, spec }) =>
      kind === 'Service'
        ? [spec.selector]
        : kind === 'PodDisruptionBudget' || kind === 'Deployment'
          ? [spec.selector.matchLabels]
          : kind === 'NetworkPolicy'
            ? [spec.podSelector.matchLabels]
            : [],
    );
    expect(selectors.length).toBeGreaterThanOrEqual(3);
    for (const selector of selectors) {
      expect(labels).toMatchObject(selector);
      expect(Object.keys(selector)).not.toContain('app.kubernetes.io/instance');
    }
    // A gateway's pods are not the operator's: the Service of the control port must not find them.
    expect(labels['app.kubernetes.io/name']).toBe('postern');
  });

  test('liveness does not hang on readiness, and both are asked', () => {
    const [container] = objects.find(({ kind }) => kind === 'Deployment').spec.template.spec.containers;
    expect(container.livenessProbe.httpGet.path).toBe('/livez');
    expect(container.startupProbe.httpGet.path).toBe('/livez');
    expect(container.readinessProbe.httpGet.path).toBe('/readyz');
  });

  test('nothing is larger than what kubectl apply can remember of it', () => {
    for (const object of objects) expect(JSON.stringify(object).length).toBeLessThan(262_144);
  });
});

test('the bundle brings its namespace, and says of nothing that Helm manages it', () => {
  const objects = manifests(BUNDLE);
  expect(objects[0]).toMatchObject({
    kind: 'Namespace',
    metadata: { name: 'postern-system', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  });
  expect(read(BUNDLE)).not.toMatch(/helm\.sh\/|managed-by: Helm|helm\.sh\/hook/);
});

test('the bundle has the custom resource definitions of crds/, unchanged but for nothing', () => {
  const rendered = manifests(BUNDLE).filter(({ kind }) => kind === 'CustomResourceDefinition');
  const source = list('crds').flatMap((file) => manifests(`crds/${file}`));
  expect(rendered).toEqual(source);
});

test("Helm keeps them by the one line that the template puts under Argo CD's", () => {
  const wave = '    argocd.argoproj.io/sync-wave: "-1"\n';
  for (const file of list('crds')) expect(read(`crds/${file}`).split(wave)).toHaveLength(2);
  expect(read('charts/postern/templates/crds.yaml')).toContain(JSON.stringify(wave).slice(1, -1));
});

test('the image that is run is the one that make image builds', () => {
  const { version } = JSON.parse(read('package.json'));
  const { spec } = manifests(BUNDLE).find(({ kind }) => kind === 'Deployment').spec.template;
  expect(spec.containers[0].image).toBe(`postern:${version}`);
  expect(spec.containers[0].args).toContain(`--image=postern:${version}`);
});

test('the image holds the folders that run, and the context nothing else', () => {
  const dockerfile = read('Dockerfile');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, what]) => what!.split(' ')).sort();
  const context = read('.dockerignore').trim().split('\n');
  expect(context[0]).toBe('*');
  expect(
    context
      .slice(1)
      .map((line) => line.replace('!', ''))
      .sort(),
  ).toEqual(copied);
  expect(copied).toEqual(
    expect.arrayContaining(['gateway', 'operator', 'cli', 'crds', 'package.json', 'package-lock.json']),
  );
  expect(dockerfile).toContain('USER 1000:1000');
  expect(dockerfile).toContain('ENTRYPOINT ["node"]');
});
