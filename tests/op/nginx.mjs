// nginx as a process of its own, in a folder of its own.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './claimgate.mjs';
import { endWithTests } from './patience.mjs';

export const BINARY = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/bin/nginx'].find((path) => spawnSync(path, ['-v']).status === 0) ?? 'nginx';

export class Nginx {
  /** Starts nginx with these lines in its `http` block, and waits until `probe` is answered with 200. */
  static async start(configuration, probe) {
    const nginx = new Nginx();
    const folder = mkdtempSync(join(tmpdir(), 'claimgate-nginx-'));
    nginx.folder = folder;
    writeFileSync(join(folder, 'nginx.conf'), `
daemon off; pid ${folder}/pid; error_log stderr warn; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ${configuration}
}`);
    nginx.process = endWithTests(spawn(BINARY, ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: ['ignore', 'ignore', 'pipe'] }));
    let log = '';
    nginx.process.stderr.on('data', (chunk) => { log += chunk; });
    const { host, port, pathname } = new URL(probe);
    await until('nginx answers', () => {
      if (nginx.process.exitCode !== null) throw new Error(log);
      return new Promise((resolve) => {
        // The name of the host need not resolve.
        http.get({ host: '127.0.0.1', port, path: pathname, headers: { host } }, (answer) => { answer.resume(); resolve(answer.statusCode === 200); }).on('error', () => resolve(false));
      });
    });
    return nginx;
  }

  stop() {
    this.process.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
