import type { Clock } from './clock.ts';

/** So many tokens a second, up to `burst` saved up. */
export interface TokenBucket {
  /** Takes a token and says after how many milliseconds it may be used: in the order of the calls. */
  reserve(): number;
  /** Takes a token if there is one. */
  take(): boolean;
}

export function createTokenBucket(options: { rate: number; burst: number; clock: Clock }): TokenBucket {
  const { rate, burst, clock } = options;
  let tokens = burst;
  let at = clock.now();
  const refill = (): void => {
    const now = clock.now();
    tokens = Math.min(burst, tokens + ((now - at) / 1000) * rate);
    at = now;
  };
  return {
    reserve: () => {
      refill();
      tokens -= 1;
      return tokens >= 0 ? 0 : (-tokens / rate) * 1000;
    },
    take: () => {
      refill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
