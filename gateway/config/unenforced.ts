import type { ConfigDocument } from './document.ts';

/** Objects of a document that this version of the gateway cannot enforce, and what it does in their place. */
export function unenforced({ masks }: ConfigDocument): readonly {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
}[] {
  return masks.map(({ namespace, name }) => ({
    kind: 'MaskingRule',
    namespace,
    name,
    reason: 'this version cannot mask: sessions of those from whom values are to be hidden are refused',
  }));
}
