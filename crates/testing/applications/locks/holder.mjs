// Takes a lock with redlock through the proxy, repeatedly, and records that directly at the server.
//
// node holder.mjs HOST PROXY SERVER NAME LIFETIME
//
// Ends when the record `stop` exists.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import Redis from 'ioredis';

const { default: Redlock, ResourceLockedError } = createRequire(import.meta.url)('redlock');

const [host, proxyPort, serverPort, name] = process.argv.slice(2);
const lifetime = Number(process.argv[6]);
const proxy = new Redis({ host, port: proxyPort });
const server = new Redis({ host, port: serverPort });
for (const command of ['enter', 'leave']) {
  const lua = readFileSync(new URL(`${command}.lua`, import.meta.url), 'utf8');
  server.defineCommand(command, { numberOfKeys: 3, lua });
}
const records = ['witness', 'overlaps', 'counts'];
const redlock = new Redlock([proxy], { retryCount: 0 });
const sleep = (time) => new Promise((done) => setTimeout(done, time));
const oneIn = (count) => Math.random() * count < 1;

/** Resolves to undefined if another holder has the lock; rethrows every other failure. */
const unlessLocked = async (promise) => {
  try {
    return await promise;
  } catch (error) {
    const attempts = await Promise.all(error.attempts ?? []);
    const votes = attempts.flatMap(({ votesAgainst }) => [...votesAgainst.values()]);
    if (votes.length > 0 && votes.every((vote) => vote instanceof ResourceLockedError)) return null;
    // It refuses to extend an expired lock without contacting the server.
    if (/already-expired/.test(error.message)) return null;
    console.error(votes.map(String).join('\n'));
    throw error;
  }
};

for (let turn = 1; (await server.exists('stop')) === 0; turn += 1) {
  const me = `${process.pid}:${turn}`;
  let until = Date.now() + lifetime;
  let lock = await unlessLocked(redlock.acquire([name], lifetime));
  if (!lock) {
    await sleep(1 + Math.random() * 9);
    continue;
  }
  if ((await server.enter(...records, me, until)) === 'entered') {
    if (oneIn(6)) {
      const extended = Date.now() + lifetime;
      const longer = await unlessLocked(lock.extend(lifetime));
      if (longer) {
        lock = longer;
        until = extended;
        await server.enter(...records, me, until);
      }
    }
    // Some hold it long enough to be killed meanwhile.
    await sleep(oneIn(5) ? 20 + Math.random() * 40 : 1 + Math.random() * 9);
    // Too slow: another holder has the lock by the time this one releases it.
    if (oneIn(40)) await sleep(Math.max(0, until - Date.now()) + Math.random() * 20);
  }
  await server.leave(...records, me, until);
  if (!(await unlessLocked(lock.release()))) await server.hincrby('counts', 'lost', 1);
}
await Promise.all([proxy.quit(), server.quit()]);
