// The server's database, locked by another process, as a backup that went wrong would lock it.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { firstLine } from './patience.mjs';

const SCRIPT = `
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
`;

/** Locks the database; the function that it returns ends the lock. */
export async function lockDatabase(gate) {
  const process = spawn('python3', ['-c', SCRIPT, join(gate.folder, 'claimgate.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
  await firstLine(process);
  return async () => {
    const ended = new Promise((done) => process.once('exit', done));
    process.stdin.end();
    await ended;
  };
}
