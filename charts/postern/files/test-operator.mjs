// What `helm test` asks: does the API server serve our kinds, is an operator ready, does each replica hold its control
// port? Needs the rights that every ServiceAccount has.
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { get as getSecure } from 'node:https';
import { connect } from 'node:tls';

const [namespace, timeout] = [process.argv[1], 5000];
const mounted = (name) => readFileSync(`/var/run/secrets/kubernetes.io/serviceaccount/${name}`, 'utf8');

const body = (how, url, options) =>
  new Promise((resolve, reject) => {
    const request = how(url, { timeout, ...options }, async (response) => {
      const text = (await response.setEncoding('utf8').toArray()).join('');
      if (response.statusCode === 200) resolve(text);
      else reject(new Error(`${url}: ${response.statusCode} ${text}`));
    });
    request.once('timeout', () => request.destroy(new Error(`${url}: no answer`))).once('error', reject);
  });

const headers = { authorization: `Bearer ${mounted('token')}` };
const api = 'https://kubernetes.default.svc/apis/postern.dev/v1alpha1';
const { resources } = JSON.parse(await body(getSecure, api, { ca: mounted('ca.crt'), headers }));
for (const kind of ['PostgresGateway', 'AccessPolicy', 'MaskingRule', 'AccessRequest'])
  if (!resources.some((one) => one.kind === kind)) throw new Error(`the API server does not serve ${kind}`);
console.log('the API server serves postern.dev/v1alpha1');

await body(get, `http://postern-operator-metrics.${namespace}.svc:8080/readyz`);
console.log('an operator is ready');

const name = `postern-control.${namespace}.svc`;
for (const { address } of await lookup(name, { all: true })) {
  await new Promise((resolve, reject) => {
    // The authority is the operator's own and known to gateways alone: here it counts that TLS is spoken for the name.
    const socket = connect({ host: address, port: 8443, servername: name, rejectUnauthorized: false }, resolve);
    socket.setTimeout(timeout, () => socket.destroy(new Error(`${address}:8443: no answer`))).once('error', reject);
  }).then(() => console.log(`the control port of ${address} answers`));
}
process.exit();
