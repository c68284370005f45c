// The access rules of the configuration, behind whichever proxy: what a stranger, a user and a program get.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newKeys } from './jose.mjs';

const INVALID = 'Bearer realm="claimgate", error="invalid_token"';

/** Runs the tests; `get` returns the domain of `startDomain` with `RULES`, and `ask` of its proxy. */
export function testRules(get) {
  /** Asks the application's host; the answer, and whether the request reached the application. */
  async function ask(path, headers = {}, options = {}) {
    const { application, ask } = get();
    const count = () => Object.values(application.requests).reduce((sum, each) => sum + each, 0);
    const before = count();
    const answer = await ask('app', path, { accept: 'application/json', ...headers }, options);
    return { ...answer, challenge: answer.headers['www-authenticate'], reached: count() > before };
  }
  const session = () => ({ cookie: get().cookie });

  // finding: R3
  test('the first rule that fits decides: a path for anyone, teams, a method', async () => {
    const joe = session();
    for (const [method, path, headers, status] of [
      ['GET', '/hooks/x', {}, 200],
      ['POST', '/hooks/x?a=1', {}, 200],
      ['DELETE', '/hooks/x', {}, 403],
      ['GET', '/other', {}, 401],
      ['GET', '/other', joe, 200],
      ['GET', '/lab/x', joe, 200],
      ['GET', '/admin/x', joe, 403],
      ['GET', '/admin/x', {}, 401],
      ['GET', '/archive/x', joe, 200],
      ['DELETE', '/archive/x', joe, 403],
      ['DELETE', '/archive/x', {}, 403],
      ['GET', '/api/x', joe, 403],
    ]) {
      const answer = await ask(path, headers, { method });
      assert.deepEqual([method, path, answer.status, answer.reached], [method, path, status, status === 200]);
    }
    const page = await ask('/other', { accept: 'text/html' });
    assert.deepEqual([page.status, page.reached], [303, false]);
    // A stranger is no one, whatever identity the request claims.
    const { headers } = JSON.parse((await ask('/hooks/x', { 'x-auth-user': 'root', 'x-auth-teams': 'Administrators' })).text);
    assert.deepEqual([headers['x-auth-user'] ?? '', headers['x-auth-teams'] ?? ''], ['', '']);
  });

  // finding: R2
  test('a program is admitted by its bearer token; one that is expired, forged or for others is 401 with a challenge', async () => {
    const { token } = get();
    const bearer = async (...args) => ({ authorization: `Bearer ${await token(...args)}` });
    const good = await bearer();
    const admitted = await ask('/api/x', good);
    assert.deepEqual([admitted.status, admitted.reached, JSON.parse(admitted.text).headers['x-auth-user'] ?? ''], [200, true, '']);
    const now = Math.floor(Date.now() / 1000);
    const forger = newKeys('rsa', { modulusLength: 2048 }).privateJwk;
    for (const [what, headers] of [
      ['expired', await bearer({ iat: now - 900, exp: now - 300 })],
      ['forged', await bearer({}, forger)],
      ['for another application', await bearer({ aud: 'https://other.example.com/api' })],
      ['no token', { authorization: 'Bearer x.y.z' }],
      ['expired, beside a session', { ...await bearer({ iat: now - 900, exp: now - 300 }), ...session() }],
    ]) {
      for (const accept of ['application/json', 'text/html']) {
        const { status, challenge, reached } = await ask('/api/x', { ...headers, accept });
        assert.deepEqual([what, status, challenge, reached], [what, 401, INVALID, false]);
      }
    }
    const other = await ask('/lab/x', good);
    assert.deepEqual([other.status, other.challenge, other.reached], [403, 'Bearer realm="claimgate", error="insufficient_scope"', false]);
    const without = await ask('/api/x');
    assert.deepEqual([without.status, without.challenge, without.reached], [401, 'Bearer realm="claimgate"', false]);
  });

  // attack: access.path, access.method, access.repeated-header
  test('no header that an application could follow leads to another rule, however often it is sent', async () => {
    const [open, closed] = ['/hooks/x', '/admin/x'];
    const cases = [];
    for (const name of ['x-original-url', 'x-original-uri', 'x-rewrite-url']) {
      for (const values of [closed, [open, closed], [closed, open], [`${open}?`, closed], [closed, `${open}?`], [`${open}?a=1,2`, closed], `${open},${closed}`, `${open}?,${closed}`, [open, `${open}, ${closed}`]]) cases.push({ [name]: values });
    }
    for (const name of ['x-http-method-override', 'x-http-method', 'x-method-override']) {
      for (const values of ['DELETE', ['GET', 'DELETE'], ['DELETE', 'GET'], 'GET, DELETE', ['POST', 'GET,DELETE']]) cases.push({ [name]: values });
    }
    cases.push({ 'x-original-url': open, 'x-rewrite-url': closed });
    for (const name of ['x-original-path', 'x-rewrite-uri', 'x-waws-unencoded-url']) cases.push({ [name]: closed });
    for (const name of ['method-override', 'x-http-verb-override', 'x-original-method']) cases.push({ [name]: 'DELETE' });
    // The part of the path that an application removes.
    for (const name of ['x-script-name', 'script-name']) cases.push({ [name]: '/hooks' });
    for (const headers of cases) {
      for (const who of [{}, session()]) {
        const { status, reached } = await ask(open, { ...who, ...headers });
        assert.deepEqual([headers, status, reached], [headers, 403, false]);
      }
    }
    // What leads to the same rule passes.
    for (const headers of [{ 'x-original-url': [open, '/hooks/y?a=1'] }, { 'x-http-method-override': ['GET', 'POST'] }]) {
      const { status, reached } = await ask(open, headers);
      assert.deepEqual([headers, status, reached], [headers, 200, true]);
    }
  });

  // attack: access.path, access.method-in-the-query
  test('no spelling of a path or of a method in the query reaches the application by another rule', async () => {
    for (const path of ['/%61dmin/x', '/ADMIN/x', '/admin%2Fx', '/hooks/..;/admin/x', '/hooks/%2e%2e/admin/x', '/hooks/../admin/x', '//admin/x', '/hooks//../admin/x', '/hooks/..%2fadmin/x', '/admin;a/x', '/hooks/x?_method=DELETE', '/hooks/x?a=1;_method=DELETE']) {
      for (const who of [{}, session()]) {
        const { status, reached } = await ask(path, who);
        assert.ok([400, 401, 403, 404].includes(status) && !reached, `${path}: ${status}`);
      }
    }
  });

  test('a gRPC client without a session is refused by a status, and not redirected', async () => {
    const call = { 'content-type': 'application/grpc', te: 'trailers', accept: '*/*' };
    const { status, headers, reached } = await ask('/lab/x', call, { method: 'POST' });
    assert.deepEqual([reached, headers.location], [false, undefined]);
    // Envoy answers in the terms of gRPC: 16 is UNAUTHENTICATED.
    assert.ok(status === 401 || (status === 200 && headers['grpc-status'] === '16'), `${status}`);
  });
}
