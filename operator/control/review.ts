import { createHash } from 'node:crypto';
import { CONTROL_AUDIENCE } from '../../gateway/config/control.ts';
import type { KubeClient, Resource } from '../kube/types.ts';
import type { ControlLog, ReviewOutcome } from './inputs.ts';
import { type Caller, expiryOf, readCaller } from './token.ts';

const TOKEN_REVIEWS: Resource = {
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'TokenReview',
  plural: 'tokenreviews',
  namespaced: false,
};

export type Review =
  | { readonly kind: 'Accepted'; readonly caller: Caller; readonly expiresAt: number }
  /** The API server does not know the token, or not as one of a pod for this audience. */
  | { readonly kind: 'Rejected' }
  /** Not asked, or no answer: later again. */
  | { readonly kind: 'Unknown'; readonly reason: string };

export interface ReviewOptions {
  readonly kube: Pick<KubeClient, 'create'>;
  readonly now: () => number;
  readonly count: (outcome: ReviewOutcome) => void;
  readonly log: ControlLog;
}

/** For how long a good answer is good without asking again; milliseconds. A pod that is gone is noticed by the pod store. */
const GOOD_FOR = 30_000;
const BAD_FOR = 10_000;
const REMEMBERED = 4096;
/** Questions that wait for an answer: all, and those of one address. */
const IN_FLIGHT = 32;
const IN_FLIGHT_PER_ADDRESS = 8;
/** Milliseconds until an answer is not waited for any more. */
const PATIENCE = 5000;
/** Rejected tokens of one address, before they are not even asked about, and how fast that is forgiven (milliseconds each). */
const REJECTIONS = 10;
const FORGIVEN = 6000;
const ADDRESSES = 4096;

interface Known {
  readonly review: Review;
  readonly until: number;
}

/** Asks the API server about tokens: one question at a time about each, few about bad ones, a bounded number in all. */
export class TokenReviewer {
  readonly #options: ReviewOptions;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, { readonly address: string; readonly review: Promise<Review> }>();
  /** By address: when the last of its rejections is forgiven. */
  readonly #rejections = new Map<string, number>();

  constructor(options: ReviewOptions) {
    this.#options = options;
  }

  async review(token: string, address: string): Promise<Review> {
    const { now, count } = this.#options;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && known.until > now()) {
      if (known.review.kind === 'Accepted') count('Cached');
      return known.review;
    }
    const expiresAt = expiryOf(token);
    if (expiresAt === null || expiresAt <= now()) return this.#rejected(address);
    const asking = this.#asking.get(key);
    if (asking !== undefined) return await asking.review;
    if (this.#limited(address)) return this.#unasked('Limited', 'too many tokens of this address were rejected');
    if (this.#isBusy(address)) return this.#unasked('Busy', 'too many reviews at once');
    const asked = this.#ask(token, expiresAt).finally(() => this.#asking.delete(key));
    this.#asking.set(key, { address, review: asked });
    const review = await asked;
    if (review.kind !== 'Unknown') this.#remember(key, review, expiresAt);
    return review.kind === 'Rejected' ? this.#rejected(address) : review;
  }

  async #ask(token: string, expiresAt: number): Promise<Review> {
    const { kube, count, log } = this.#options;
    const { group, version, kind } = TOKEN_REVIEWS;
    try {
      const spec = { token, audiences: [CONTROL_AUDIENCE] };
      const review = { apiVersion: `${group}/${version}`, kind, metadata: { name: '' }, spec };
      // Not behind the writes of a busy start: gateways that nobody hears hold those up.
      const answer = await kube.create(TOKEN_REVIEWS, review, { timeout: PATIENCE, urgent: true });
      const caller = readCaller(answer.status, CONTROL_AUDIENCE);
      if (caller === null) return { kind: 'Rejected' };
      count('Accepted');
      return { kind: 'Accepted', caller, expiresAt };
    } catch (error) {
      count('Failed');
      // Of the error only its reason: nothing that might quote the token.
      log.warn({ reason: (error as { readonly reason?: unknown }).reason ?? 'Unknown' }, 'a TokenReview failed');
      return { kind: 'Unknown', reason: 'the API server did not answer' };
    }
  }

  #unasked(outcome: ReviewOutcome, reason: string): Review {
    this.#options.count(outcome);
    return { kind: 'Unknown', reason };
  }

  #remember(key: string, review: Review, expiresAt: number): void {
    const now = this.#options.now();
    const until = Math.min(now + (review.kind === 'Accepted' ? GOOD_FOR : BAD_FOR), expiresAt);
    this.#known.delete(key);
    this.#known.set(key, { review, until });
    shrink(this.#known, REMEMBERED);
  }

  #isBusy(address: string): boolean {
    const own = [...this.#asking.values()].filter((one) => one.address === address);
    return this.#asking.size >= IN_FLIGHT || own.length >= IN_FLIGHT_PER_ADDRESS;
  }

  #limited(address: string): boolean {
    return (this.#rejections.get(address) ?? 0) - this.#options.now() > (REJECTIONS - 1) * FORGIVEN;
  }

  #rejected(address: string): Review {
    const now = this.#options.now();
    this.#options.count('Rejected');
    const until = Math.max(this.#rejections.get(address) ?? 0, now);
    this.#rejections.delete(address);
    this.#rejections.set(address, Math.min(until, now + REJECTIONS * FORGIVEN) + FORGIVEN);
    shrink(this.#rejections, ADDRESSES);
    return { kind: 'Rejected' };
  }
}

/** Forgets what was set first. */
function shrink(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}
