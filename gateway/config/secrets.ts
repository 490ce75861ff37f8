import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SecretSource } from './document.ts';

/** A Secret's name (RFC 1123 subdomain) and a key as Kubernetes allows them: no way out of the directory. */
const NAME = /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/;
const KEY = /^[-._a-zA-Z0-9]{1,253}$/;

/**
 * Secrets mounted as `directory/<secret>/<key>`, read anew at every use: the kubelet replaces them by swapping a
 * symbolic link, so that what is read is the old or the new one, and a rotated one counts at once.
 */
export function mountedSecrets(directory: string): SecretSource {
  return {
    read(secret, key) {
      if (!NAME.test(secret) || secret.includes('..') || !KEY.test(key) || key.startsWith('..')) return undefined;
      try {
        return readFileSync(join(directory, secret, key));
      } catch {
        // Whoever asks says what is missing; a file that cannot be read is missing too.
        return undefined;
      }
    },
  };
}
