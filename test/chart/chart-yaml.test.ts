import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { checkManifest } from '../../operator/api/validate.ts';
import { BUNDLE, list, type Manifest, manifests, read } from './kit.ts';

const chart = parse(read('charts/postern/Chart.yaml'));
const annotation = (name: string): Manifest => parse(chart.annotations[`artifacthub.io/${name}`]);

test('the kinds that are listed are those that are installed', () => {
  const definitions = list('crds').flatMap((file) => manifests(`crds/${file}`));
  const listed = annotation('crds').map(({ kind, version, name }: Manifest) => ({ kind, version, name }));
  const installed = definitions.map(({ metadata, spec }) => ({
    kind: spec.names.kind,
    version: spec.versions[0].name,
    name: metadata.name,
  }));
  expect(new Set(listed)).toEqual(new Set(installed));
});

test('the examples that are shown are taken', () => {
  const examples = annotation('crdsExamples');
  expect(examples.map(({ kind }: Manifest) => kind)).toEqual(['PostgresGateway', 'AccessPolicy']);
  for (const example of examples) expect(checkManifest(example)).toMatchObject({ ok: true });
});

test('the image that is named is the one that runs', () => {
  const { spec } = manifests(BUNDLE).find(({ kind }) => kind === 'Deployment').spec.template;
  expect(annotation('images').map(({ image }: Manifest) => image)).toEqual([spec.containers[0].image]);
});
