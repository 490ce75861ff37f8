import { X509Certificate } from 'node:crypto';
import { type Issued, isKeyOf, readBundle } from './certificate.ts';

/** What is to be done about a serving certificate. `usable`: what is there can be served with until then. */
export interface Inspection {
  readonly due: 'Nothing' | 'Leaf' | 'Authority' | 'All';
  readonly usable: boolean;
  /** Why something is due other than by the passing of time; null: nothing is wrong. */
  readonly problem: string | null;
}

const GOOD: Inspection = { due: 'Nothing', usable: true, problem: null };

/**
 * Judges what the Secret holds, by the name that gateways dial (the first) and others by which pods may know the Service.
 * What somebody else issues (no key of the authority) is never to be made anew here.
 */
export function inspect(issued: Issued, names: readonly string[], now: number): Inspection {
  const authorities = authoritiesOf(issued, now);
  if (typeof authorities === 'string')
    return { due: issued.caKey === null ? 'Nothing' : 'All', usable: false, problem: authorities };
  const leaf = leafOf(issued, names, { authorities, now });
  if (typeof leaf === 'string')
    return { due: issued.caKey === null ? 'Nothing' : 'Leaf', usable: false, problem: leaf };
  if (issued.caKey === null) return GOOD;
  // Of an earlier version: it serves until the leader has renewed it, or the first new replica would never be ready.
  if (lacking(leaf, names).length > 0) return { ...GOOD, due: 'Leaf' };
  if (passed(leaf, now) > 2 / 3) return { ...GOOD, due: 'Leaf' };
  // Only beside a young certificate: what the new authority signs first comes when gateways have known it for weeks.
  if (passed(authorities[0]!, now) > 2 / 3 && passed(leaf, now) < 1 / 3) return { ...GOOD, due: 'Authority' };
  return GOOD;
}

/** Those that are trusted, the signing one first; or what is wrong with them. */
function authoritiesOf({ ca, caKey }: Issued, now: number): readonly X509Certificate[] | string {
  let bundle: readonly X509Certificate[];
  try {
    bundle = readBundle(ca);
  } catch {
    return 'ca.crt cannot be read';
  }
  const [signing] = bundle;
  if (signing === undefined) return 'ca.crt holds no certificate';
  if (bundle.some((one) => !one.ca)) return 'ca.crt holds a certificate that is no authority';
  if (caKey !== null && !isKeyOf(signing, caKey)) return 'ca.key is not the key of the first certificate in ca.crt';
  if (signing.validToDate.getTime() <= now) return 'the authority in ca.crt has expired';
  return bundle;
}

interface Against {
  readonly authorities: readonly X509Certificate[];
  readonly now: number;
}

function leafOf(
  { cert, key, caKey }: Issued,
  names: readonly string[],
  { authorities, now }: Against,
): X509Certificate | string {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(cert);
  } catch {
    return 'tls.crt cannot be read';
  }
  if (!isKeyOf(leaf, key)) return 'tls.key is not the key of tls.crt';
  if (leaf.validToDate.getTime() <= now) return 'tls.crt has expired';
  const trusted = authorities.filter(({ validToDate }) => validToDate.getTime() > now);
  // Others may put authorities in between, which only those who dial can judge.
  if (caKey !== null && !trusted.some((one) => leaf.verify(one.publicKey)))
    return 'tls.crt is signed by none of ca.crt';
  const [dialled] = lacking(leaf, names.slice(0, 1));
  return dialled === undefined ? leaf : `tls.crt does not name ${dialled}`;
}

function lacking(leaf: X509Certificate, names: readonly string[]): readonly string[] {
  return names.filter((name) => leaf.checkHost(name, { subject: 'never' }) === undefined);
}

/** How much of its life has passed, 0 to 1. */
function passed({ validFromDate, validToDate }: X509Certificate, now: number): number {
  const from = validFromDate.getTime();
  return (now - from) / (validToDate.getTime() - from);
}
