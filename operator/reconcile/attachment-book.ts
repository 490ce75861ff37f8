import type { Attachment } from '../plan/types.ts';
import type { Mask, Policy } from './caches.ts';

interface Entry {
  readonly attachment: Attachment;
  readonly text: string;
}

/** What each gateway made of the objects that name it, from the last plan of each. */
export class AttachmentBook {
  /** By gateway (`namespace/name`), then by object (`Kind/name`). */
  readonly #gateways = new Map<string, ReadonlyMap<string, Entry>>();

  /** Takes what a plan says; gives the objects (`Kind/namespace/name`) of which that is news. */
  put(gateway: string, attachments: readonly Attachment[]): readonly string[] {
    const before = this.#gateways.get(gateway) ?? new Map<string, Entry>();
    const after = new Map(
      attachments.map((attachment) => [
        `${attachment.kind}/${attachment.name}`,
        // Made by the same code each time: its members come in the same order.
        { attachment, text: JSON.stringify(attachment) },
      ]),
    );
    this.#gateways.set(gateway, after);
    const [namespace] = gateway.split('/');
    return [...new Set([...before.keys(), ...after.keys()])]
      .filter((key) => before.get(key)?.text !== after.get(key)?.text)
      .map((key) => key.replace('/', `/${namespace}/`));
  }

  forget(gateway: string): void {
    this.#gateways.delete(gateway);
  }

  /** undefined: the gateway has not been planned with this object yet. */
  of(gateway: string, { kind, metadata }: Policy | Mask): Attachment | undefined {
    return this.#gateways.get(gateway)?.get(`${kind}/${metadata.name}`)?.attachment;
  }
}
