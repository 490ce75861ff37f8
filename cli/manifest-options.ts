import { all, UsageError, type Values } from './usage.ts';

/** Help and options of all commands that read manifests. */
export const MANIFESTS = `  -f, --file FILE|DIR   Manifests: a YAML file, a directory with them, - for standard input; can be repeated
      --gateway NAME    Which PostgresGateway, where there are several
`;
export const MANIFEST_OPTIONS = {
  file: { type: 'string', short: 'f', multiple: true },
  gateway: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

export function files(values: Values): readonly string[] {
  const given = all(values, 'file');
  if (given.length === 0) throw new UsageError('name the manifests with -f');
  return given;
}
