/** An OpenID issuer in the cluster: `issuer.ts URL SECRET TLS-DIR`; tokens by client credentials, as the header x-order asks. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createProvider, generateSigning, type MintOptions } from '../../test/kit/issuer.ts';

const [url, secret, tls] = process.argv.slice(2) as [string, string, string];
const { jwks } = await generateSigning();
const handle = createProvider({
  url,
  secret,
  jwks,
  orderOf: (order) => (order === '' ? {} : (JSON.parse(order) as MintOptions)),
});
const server = createServer(
  { cert: readFileSync(`${tls}/tls.crt`), key: readFileSync(`${tls}/tls.key`) },
  (request, response) => void handle(request, response),
);
server.listen(8443);
process.once('SIGTERM', () => process.exit(0));
