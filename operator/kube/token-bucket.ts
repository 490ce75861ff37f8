import type { Clock } from './clock.ts';

/** So many tokens a second, up to `burst` saved up. */
export interface TokenBucket {
  /** Takes a token and says after how many milliseconds it may be used: in the order of the calls. */
  reserve(): number;
}

export function createTokenBucket(options: { rate: number; burst: number; clock: Clock }): TokenBucket {
  const { rate, burst, clock } = options;
  let tokens = burst;
  let at = clock.now();
  return {
    reserve: () => {
      const now = clock.now();
      tokens = Math.min(burst, tokens + ((now - at) / 1000) * rate) - 1;
      at = now;
      return tokens >= 0 ? 0 : (-tokens / rate) * 1000;
    },
  };
}
