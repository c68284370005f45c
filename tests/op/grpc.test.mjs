// What gRPC clients get before an application that speaks gRPC, through the proxies as docs/guide/forward-auth.md
// configures them.

import assert from 'node:assert/strict';
import * as http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { applicationAt, startDomain } from './application.mjs';
import { startProxy } from './behind-proxy.mjs';
import { freePort } from './claimgate.mjs';
import { caddy, envoy, haproxy, nginx, traefik } from './proxies.mjs';

const bytes = (value) => value;
const method = (path) => ({ path, requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes });
const SERVICE = { get: method('/acme.orders.Orders/Get'), remove: method('/acme.orders.Orders/Remove') };
const RULES = [
  { paths: ['/acme.orders.Orders/Get'], any_of: [{ clients: ['robot'] }, { teams: ['Lab'] }] },
  { paths: ['/acme.orders.Orders/*'], teams: ['Administrators'] },
];
const { UNAUTHENTICATED, PERMISSION_DENIED } = grpc.status;

let domain;
let application;
let calls = 0;

before(async () => {
  domain = await startDomain({ server: traefik.server, applications: [applicationAt('app', RULES)] });
  application = new grpc.Server();
  const answer = ({ metadata }, callback) => { calls += 1; callback(null, Buffer.from(JSON.stringify(metadata.getMap()))); };
  application.addService(SERVICE, { get: answer, remove: answer });
  const listening = (done, failed) => application.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error ? failed(error) : done(port)));
  domain.application.port = await new Promise(listening);
});

after(async () => {
  application?.forceShutdown();
  await domain?.stop();
});

/** Sends the head of a request over HTTP/2 and returns that of the answer. */
function head(port, fields) {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`).on('error', reject);
    const stream = session.request({ ':authority': `app.gate.localhost:${port}`, ...fields }).on('error', reject);
    stream.on('response', (headers) => { session.destroy(); resolve(headers); });
    stream.end();
  });
}

const PASSED_ON = { ':status': 401, 'grpc-status': undefined };
for (const [name, proxy, wanted] of [
  ['Envoy', envoy, { ':status': 200, 'grpc-status': `${UNAUTHENTICATED}` }],
  ['nginx', nginx, PASSED_ON],
  ['Caddy', caddy, PASSED_ON],
  ['Traefik', traefik, PASSED_ON],
  ['HAProxy', haproxy, PASSED_ON],
]) {
  describe(`through ${name}`, { skip: proxy.skip }, () => {
    let port;
    let running;
    let client;

    before(async () => {
      port = await freePort();
      // Traefik answers before it has its routes.
      const answers = () => head(port, { ':path': '/' }).then((answer) => answer[':status'] !== 404, () => false);
      running = await startProxy(proxy, domain, { port, grpc: true, answers });
      const Client = grpc.makeGenericClientConstructor(SERVICE, 'Orders');
      client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.default_authority': `app.gate.localhost:${port}` });
    });

    after(() => {
      client?.close();
      running?.stop();
    });

    /** Calls a method: its answer, or the status, and whether the call reached the application. */
    async function call(name, fields) {
      const metadata = new grpc.Metadata();
      for (const [field, value] of Object.entries(fields)) metadata.set(field, value);
      const before = calls;
      const answered = await new Promise((done) => client[name](Buffer.from('x'), metadata, (error, answer) => done(error ? { code: error.code } : { code: 0, headers: JSON.parse(answer) })));
      return { ...answered, reached: calls > before };
    }
    const bearer = async (claims) => ({ authorization: `Bearer ${await domain.token(claims)}` });

    test('a call is admitted by its token, and by the session of a person', async () => {
      const { headers: forged } = await call('get', { ...await bearer(), 'x-auth-user': 'root', 'x-auth-teams': 'Administrators' });
      assert.deepEqual([forged['x-auth-user'] ?? '', forged['x-auth-teams'] ?? ''], ['', '']);
      const { code, headers } = await call('get', { cookie: domain.cookie });
      assert.deepEqual([code, headers['x-auth-user'], headers['x-auth-teams'], headers.cookie], [0, 'joe', 'Lab', undefined]);
    });

    test('a refused call has the status of gRPC and does not reach the application', async () => {
      const expired = { iat: Math.floor(Date.now() / 1000) - 900, exp: Math.floor(Date.now() / 1000) - 300 };
      for (const [name, fields, code] of [
        ['get', {}, UNAUTHENTICATED],
        ['get', await bearer(expired), UNAUTHENTICATED],
        ['get', { authorization: 'Bearer x.y.z', cookie: domain.cookie }, UNAUTHENTICATED],
        ['remove', await bearer(), PERMISSION_DENIED],
        ['remove', { cookie: domain.cookie }, PERMISSION_DENIED],
        ['remove', { cookie: domain.cookie, 'x-original-url': '/acme.orders.Orders/Get' }, PERMISSION_DENIED],
        ['get', { cookie: domain.cookie, 'x-original-url': '/acme.orders.Orders/Remove' }, PERMISSION_DENIED],
      ]) assert.deepEqual(await call(name, fields), { code, reached: false }, `${name} ${JSON.stringify(fields)}`);
      const answer = await head(port, { ':method': 'POST', ':path': '/acme.orders.Orders/Get', 'content-type': 'application/grpc', te: 'trailers' });
      assert.deepEqual([answer[':status'], answer['grpc-status'], answer.location], [wanted[':status'], wanted['grpc-status'], undefined]);
    });
  });
}
