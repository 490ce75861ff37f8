import { createHash } from 'node:crypto';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import type { ConfigDocument, MaskRule, Policy } from '../../gateway/config/document.ts';
import { order } from './compile.ts';
import { remember } from './remember.ts';

/** The canonical text of one part of a document; parts that have not changed are the same objects in the next one. */
export const partText = remember((part: Policy | MaskRule): string => canonicalJson(part));

/** The canonical text of a document, from the texts of its parts: `canonicalJson` of thousands takes a second. */
export function documentText(document: ConfigDocument): string {
  const { policies, masks } = document;
  const texts: Readonly<Record<string, string>> = { policies: list(policies), masks: list(masks) };
  const members = Object.entries(document)
    .sort(([a], [b]) => order(a, b))
    .map(([name, member]) => `${JSON.stringify(name)}:${texts[name] ?? canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

function list(parts: readonly (Policy | MaskRule)[]): string {
  return `[${parts.map(partText).join(',')}]`;
}

/** As `makeRevision` names it. */
export function revisionOf(document: ConfigDocument): string {
  return createHash('sha256').update(documentText(document), 'utf8').digest('hex');
}
