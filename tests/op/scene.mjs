// A server with the same people, events and time at each run, for screenshots of its pages.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { mock } from 'node:test';
import { Agent, PASSWORD } from './agent.mjs';
import { lend } from './browser.mjs';
import { Claimgate, pair, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { OpenIdProvider, freshKeys } from './provider.mjs';

const require = createRequire(import.meta.url);
const font = (name, file) => `@font-face { font-family: "${name}"; font-weight: 100 900; src: url(data:font/woff2;base64,${readFileSync(require.resolve(file)).toString('base64')}) }`;
/** One font on every machine: text takes the same space whatever fonts are installed. */
const FONTS = `${font('Pinned', '@fontsource-variable/inter/files/inter-latin-wght-normal.woff2')}
${font('Pinned Code', '@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2')}
:root { --font: "Pinned", sans-serif; --font-code: "Pinned Code", monospace; }`;

const APPLICATIONS = [
  { name: 'Wiki', hosts: ['wiki.example.com'], rule: [
    { paths: ['/health'], methods: ['GET'], allow: 'anyone' },
    { paths: ['/admin/*', '/settings/*'], teams: ['Administrators'] },
    { paths: ['/api/*'], methods: ['POST', 'DELETE'], any_of: [{ users: ['ada'] }, { teams: ['sales'] }] },
    { allow: 'signed_in' },
  ] },
  { name: 'Payroll', hosts: ['payroll.example.com'], rule: [{ teams: ['Finance'], max_age: '10m' }] },
  { name: 'Grafana', hosts: ['grafana.example.com'], rule: [{ paths: ['/d/*'], methods: ['GET'], allow: 'signed_in' }, { teams: ['Administrators', 'support'] }] },
];
const USERS = [['barbara', 'admin', 'Administrators'], ['edsger', 'regular', 'support'], ['hedy', 'regular', 'sales'], ['katherine', 'regular', 'Finance'], ['margaret', 'regular', 'Finance', 'support'], ['radia', 'regular', 'support']];

const TOKEN_CLAIMS = { sub: '7f3c9a', iss: 'https://login.example.com', preferred_username: 'Grace', email: 'grace@example.com', email_verified: true, given_name: 'Grace', family_name: 'Hopper', groups: ['/crm/support', '/crm/sales', 'all-staff'] };

export class Scene {
  /** Starts the provider and the server, on the morning of 2 March 2026, and lets people sign in. */
  static async start() {
    const scene = new Scene();
    const { TZ, ...environment } = process.env;
    scene.environment = environment;
    mock.timers.enable({ apis: ['Date'], now: 0 });
    scene.clock = clock();
    // For the server and the commands alone: the browser keeps its own time.
    Object.assign(process.env, scene.clock.env, { TZ: 'UTC' });
    scene.at('08:00');
    scene.op = await OpenIdProvider.start();
    scene.op.keys = freshKeys().map((key, index) => ({ ...key, kid: `2026-${index + 1}` }));
    scene.gate = await Claimgate.prepare();
    const { client, provider } = pair(scene.op, scene.gate, 'company', { provider: { display_name: 'Example Company' } });
    scene.op.configure([client]);
    const partners = { id: 'partners', display_name: 'Partners', issuer: 'http://127.0.0.1:1', client_id: 'claimgate', client_secret: provider.client_secret, algorithms: ['ES256'] };
    scene.gate.write({ providers: [provider, partners], applications: APPLICATIONS, pages: { name: 'Example Company' }, signIn: { allow_admins: true, password_fallback_regular: true } });
    await scene.gate.start();
    await scene.gate.keysFetched();
    await scene.#people();
    return scene;
  }

  /** Sets the time of day of the server and the provider, which then stands still. */
  at(time) {
    this.clock.set(`2026-03-02 ${time}:00`);
    mock.timers.setTime(Date.parse(`2026-03-02T${time}:00Z`));
  }

  async #people() {
    const { gate } = this;
    gate.addUser('root', 'super-admin');
    for (const [name, kind, ...teams] of USERS) gate.addUser(name, kind, ...teams.flatMap((team) => ['--team', team]));
    gate.command(['user', 'deactivate', 'radia']);
    const tries = [
      ['09:04', 'hedy'], ['09:09', 'margaret'], ['09:12', 'ada', 'company'], ['09:13', 'edsger'], ['09:20', 'katherine', undefined, 'wrong'], ['09:21', 'katherine'],
      ['09:33', 'barbara'], ['09:38', 'linus', 'company'], ['09:39', 'radia'], ['09:44', 'hedy'], ['09:46', 'edsger', undefined, 'wrong'], ['09:52', 'ada', 'company'],
    ];
    const ofKind = (...kinds) => gate.events().filter(({ kind }) => kinds.includes(kind)).length;
    let [ada, hedy] = [];
    for (const [time, name, provider, password = PASSWORD] of tries) {
      this.at(time);
      const refusals = ofKind('refusal');
      const agent = new Agent();
      if (provider) await agent.signIn(gate, provider, name); else await agent.signInByPassword(gate, name, password);
      // Refusals are written a moment later, with the time of that moment.
      if (password !== PASSWORD || name === 'radia') await until('the refusal is recorded', () => ofKind('refusal') > refusals);
      if (name === 'ada') ada = agent;
      if (name === 'hedy') hedy = agent;
    }
    this.at('09:53');
    await this.op.logOut('company', 'linus', gate.sessions().find(({ subject }) => subject === 'linus').sid);
    await until('the logout is recorded', () => ofKind('logout') === 1);
    const ask = (agent, host, path, method = 'GET') => agent.request(`${gate.url}/auth`, { headers: { 'x-forwarded-host': host, 'x-forwarded-uri': path, 'x-forwarded-method': method, 'x-forwarded-proto': 'https' } });
    await ask(hedy, 'payroll.example.com', '/');
    await until('the refusal is recorded', () => ofKind('access_refusal') === 1);
    this.at('09:55');
    await ask(hedy, 'wiki.example.com', '/admin/users', 'POST');
    await ask(ada, 'wiki.example.com', '/admin/users', 'POST');
    await until('the refusal is recorded', () => ofKind('access_refusal') === 2);
    this.at('09:58');
    // A person whose name at the provider is that of another user here.
    this.op.claims = { grace: { preferred_username: 'Barbara' } };
  }

  id(name) { return this.gate.users().find(({ username }) => username === name).id; }

  /** Gives a page fonts that do not depend on the machine, and addresses as they would be in use. */
  async settle(page) {
    await page.addStyleTag({ content: FONTS });
    const names = [
      [this.gate.url, 'https://sso.example.com'], [new URL(this.gate.url).host, 'sso.example.com'], [this.op.issuer, 'https://login.example.com'],
      ['http://127.0.0.1:1', 'https://login.partners.example'], ['127.0.0.1 cannot', 'login.partners.example cannot'], ['127.0.0.1', '192.0.2.17'],
    ];
    await page.evaluate(async (replacements) => {
      const settled = (text) => replacements.reduce((before, [from, to]) => before.replaceAll(from, to), text).replace(/\d+ failed/, '3 failed');
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) if (settled(texts.currentNode.data) !== texts.currentNode.data) texts.currentNode.data = settled(texts.currentNode.data);
      for (const field of document.querySelectorAll('input, textarea')) field.value = settled(field.value);
      for (const reference of document.querySelectorAll('#reference')) reference.textContent = 'Vd7kQ2xw';
      await document.fonts.ready;
      document.activeElement?.blur();
      // Where the script of the page has put the row of the navigation, with the width that its names have now.
      if (document.querySelector('nav')?.scrollLeft > 0) document.querySelector('nav a[aria-current]').scrollIntoView({ block: 'nearest', inline: 'center' });
    }, names);
  }

  async close() {
    mock.timers.reset();
    for (const name of [...Object.keys(this.clock.env), 'TZ']) delete process.env[name];
    Object.assign(process.env, this.environment);
    await this.gate.close();
    await this.op.stop();
  }
}

const at = (path) => async (scene, page) => { await page.goto(`${scene.gate.url}${typeof path === 'function' ? path(scene) : path}`); };

const people = {
  'sign-in': at('/'),
  password: at('/login/password'),
  refusal: async (scene, page) => {
    const agent = new Agent();
    const { location } = await agent.walk(`${scene.gate.url}/login/company`, { as: 'grace', stopAt: `${scene.gate.url}/callback` });
    await lend(agent, page.context(), scene.gate.url);
    await page.goto(location);
  },
  'signed-out': at('/logged-out'),
};
const administration = {
  'console-overview': at('/admin'),
  'console-activity': at('/admin/activity'),
  'console-providers': at('/admin/providers'),
  'console-mapping': async (scene, page) => {
    await page.goto(`${scene.gate.url}/admin/mapping`);
    await page.getByLabel('A token, or claims as JSON').fill(JSON.stringify(TOKEN_CLAIMS, undefined, 2).replaceAll('https://login.example.com', scene.op.issuer));
    await page.locator('#username').filter({ hasText: 'grace' }).waitFor();
  },
  'console-applications': at('/admin/applications?url=https%3A%2F%2Fwiki.example.com%2Fadmin%2F&method=POST&user=hedy'),
  'console-users': at('/admin/users'),
  'console-user': at((scene) => `/admin/users/${scene.id('ada')}`),
  'console-sessions': at('/admin/sessions'),
  'console-teams': at('/admin/teams'),
};

/** What signs an agent in, and the pages that the browser then opens with its cookies, by their names. */
const VISITS = [
  { enter: ({ gate }, agent) => agent.signIn(gate, 'company', 'ada'), pages: { me: at('/me') } },
  { enter: ({ gate }, agent) => agent.signInByPassword(gate, 'root'), pages: { 'console-entry': at('/admin') } },
  { enter: ({ gate }, agent) => agent.administer(gate, 'root'), pages: administration },
  // At the end: their refusals would be in the lists above, as many as happened to be in one second.
  { enter: () => {}, pages: people },
];

/** Opens each page in the browser, in light and dark, on a desktop and on a phone, and calls `look` with its name. */
export async function visit(scene, page, look) {
  for (const { enter, pages } of VISITS) {
    const agent = new Agent();
    await enter(scene, agent);
    await lend(agent, page.context(), scene.gate.url);
    for (const [name, open] of Object.entries(pages)) {
      for (const colorScheme of ['light', 'dark']) {
        for (const [width, height] of [[1280, 800], [390, 844]]) {
          await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
          await page.setViewportSize({ width, height });
          await open(scene, page);
          await scene.settle(page);
          await look(`${name}-${colorScheme}-${width}`);
        }
      }
    }
  }
}
