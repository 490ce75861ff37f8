import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, type JSONSchema } from 'json-schema-to-typescript';
import { describe, expect, it } from 'vitest';
import schema from '../../gateway/config/schema.json' with { type: 'json' };
import { STATEMENT_CLASSES } from '../../gateway/sql/classes.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Compiles a file in which the schema's types and `document.ts` are assigned to each other; returns tsc's output. */
async function compareTypes(input: object): Promise<string> {
  const generated = await compile(structuredClone(input) as JSONSchema, 'FromSchema', {
    ignoreMinAndMaxItems: true,
    bannerComment: '',
    format: false,
  });
  const directory = await mkdtemp(join(tmpdir(), 'postern-schema-'));
  const file = join(directory, 'check.ts');
  await writeFile(
    file,
    `import type { ConfigDocument as FromTypes } from '${join(ROOT, 'gateway/config/document.ts')}';
${generated.replace(/export interface ConfigDocument\b/, 'export interface FromSchema')}
type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;
export const toTypes = (value: FromSchema): FromTypes => value;
export const toSchema = (value: FromTypes): Frozen<FromSchema> => value;
`,
  );
  const options = [
    '--noEmit',
    '--strict',
    '--exactOptionalPropertyTypes',
    '--allowImportingTsExtensions',
    '--skipLibCheck',
  ];
  try {
    const tsc = join(ROOT, 'node_modules/.bin/tsc');
    execFileSync(
      tsc,
      [
        ...options,
        '--target',
        'esnext',
        '--module',
        'nodenext',
        '--types',
        'node',
        '--typeRoots',
        join(ROOT, 'node_modules/@types'),
        file,
      ],
      {
        cwd: directory,
      },
    );
    return '';
  } catch (error) {
    return String((error as { stdout: Buffer }).stdout);
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe('schema.json', () => {
  it('agrees with document.ts in both directions', async () => {
    expect(await compareTypes(schema)).toBe('');
  });

  it.each([
    [
      'a field that document.ts lacks',
      (copy: typeof schema) =>
        Object.assign(copy.definitions.limits.properties, { extra: { type: 'string' } }) &&
        copy.definitions.limits.required.push('extra'),
    ],
    ['a field that has become optional', (copy: typeof schema) => copy.definitions.limits.required.pop()],
    [
      'a value that document.ts does not know',
      (copy: typeof schema) => copy.definitions.rule.properties.action.enum.push('RequireApproval'),
    ],
    ['a value that the schema has lost', (copy: typeof schema) => copy.definitions.rule.properties.action.enum.pop()],
  ])('would be caught disagreeing by %s', async (_name, change) => {
    const copy = structuredClone(schema);
    change(copy);
    expect(await compareTypes(copy)).toContain('error TS');
  });

  it('lists the statement classes of the SQL room, and Any', () => {
    expect(schema.definitions.rule.properties.statements.items.enum).toEqual([...STATEMENT_CLASSES, 'Any']);
  });
});
