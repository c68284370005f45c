// No test file runs for ever. Imported by what every file starts: the server under test, and the provider.

import { after } from 'node:test';
import { Worker } from 'node:worker_threads';

/** Longest time of a file, in minutes. Measured by a thread of its own: the main one may be blocked. */
const FILE = 12;
/** Longest time for which a file holds on to servers, processes and sockets once its tests have ended, in milliseconds. */
const LEFT = 60_000;

new Worker(`
  const { writeSync } = require('node:fs');
  setTimeout(() => {
    writeSync(2, 'this file has run for ${FILE} minutes: it hangs\\n');
    process.kill(process.pid, 'SIGKILL');
  }, ${FILE * 60_000});
`, { eval: true }).unref();

after(() => {
  setTimeout(() => {
    process.exitCode ||= 1;
    console.error(`still held ${LEFT / 1000} s after the last test: ${process.getActiveResourcesInfo().join(', ')}`);
    process.exit();
  }, LEFT).unref();
});

const children = new Set();
process.on('exit', () => { for (const child of children) child.kill('SIGKILL'); });

/** Has a process end with this one, whatever becomes of the tests. */
export function endWithTests(child) {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Returns the first line that a process writes, or fails where it ends, does not start, or writes none for a minute. */
export async function firstLine(child) {
  endWithTests(child);
  const line = new Promise((done, fail) => {
    let written = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { written += text; if (written.includes('\n')) done(written.split('\n')[0]); });
    child.once('error', fail).once('exit', (code, signal) => fail(new Error(`${child.spawnfile} ended: ${code ?? signal}`)));
  });
  return within(LEFT, `the first line of ${child.spawnfile}`, line);
}

/** Returns what a promise becomes, or fails where that takes too long. */
export async function within(milliseconds, what, promise) {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`not within ${milliseconds} ms: ${what}`)), milliseconds); });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
