// redlock as an application uses it: the locks of two processes on one resource, taken, contended, extended, lost and
// released, and on several resources at once, beside records under one prefix.

import { createRequire } from 'node:module';
import Redis from 'ioredis';
import { finish, host, port, saw, secret, sleep, step, until, versions } from './saw.mjs';

// Its ES module entry point cannot be loaded by Node.
const { default: Redlock, ResourceLockedError } = createRequire(import.meta.url)('redlock');

const clients = [0, 1].map(() => new Redis({ host, port }));
const options = { retryDelay: 10, retryJitter: 10, automaticExtensionThreshold: 5000 };
const [one, other] = clients.map((client) => new Redlock([client], { ...options, retryCount: 2000 }));
const impatient = new Redlock([clients[1]], { ...options, retryCount: 0 });
const name = 'app:lock:order:1';
const LONG = 60_000;

/** True if it was done, false if another holder has the lock; rethrows every other failure. */
const attempt = async (promise) => {
  try {
    await promise;
    return 'done';
  } catch (error) {
    const attempts = await Promise.all(error.attempts ?? []);
    const votes = attempts.flatMap(({ votesAgainst }) => [...votesAgainst.values()]);
    const isLocked = votes.length > 0 && votes.every((vote) => vote instanceof ResourceLockedError);
    if (isLocked) return 'locked';
    throw new Error([error, ...votes].map(String).join('; '));
  }
};

versions('redlock', 'ioredis');
await step('record', async () => {
  await clients[0].set('app:order:1', secret('pedido'));
  saw('record', await clients[1].get('app:order:1'), secret('pedido'));
});
await step('taken and released', async () => {
  const lock = await impatient.acquire([name], LONG);
  saw('taken', [await clients[0].exists(name), (await clients[0].pttl(name)) > LONG / 2], [1, true]);
  saw('contended', await attempt(impatient.acquire([name], 1000)), 'locked');
  saw('released', [await attempt(impatient.release(lock)), await clients[0].exists(name)], ['done', 0]);
  saw('released again', await attempt(impatient.release(lock)), 'locked');
});
await step('one after the other', async () => {
  const lock = await impatient.acquire([name], LONG);
  const order = [];
  const waiting = other.acquire([name], LONG).then((next) => {
    order.push('other');
    return next;
  });
  await sleep(50);
  order.push('one');
  await impatient.release(lock);
  await impatient.release(await waiting);
  saw('one after the other', order, ['one', 'other']);
});
await step('extended', async () => {
  let lock = await impatient.acquire([name], LONG);
  lock = await impatient.extend(lock, 2 * LONG);
  saw('extended', (await clients[0].pttl(name)) > 1.5 * LONG, true);
  saw('released with the extended lock', await attempt(impatient.release(lock)), 'done');
});
await step('lost', async () => {
  const lock = await impatient.acquire([name], LONG);
  await clients[0].del(name);
  const next = await impatient.acquire([name], LONG);
  saw('not extended', await attempt(impatient.extend(lock, LONG)), 'locked');
  saw('not released', [await attempt(impatient.release(lock)), await clients[0].exists(name)], ['locked', 1]);
  saw('released by the next', await attempt(impatient.release(next)), 'done');
});
await step('a holder that is gone', async () => {
  await impatient.acquire([name], 200);
  const next = await other.acquire([name], LONG);
  saw('taken after its time', await attempt(impatient.release(next)), 'done');
});
await step('using', async () => {
  const seen = await one.using([name], 6000, async (signal) => {
    // Extended once before it expires.
    let left = await clients[0].pttl(name);
    await until(async () => {
      const before = left;
      left = await clients[0].pttl(name);
      return left > before;
    });
    return [signal.aborted, await attempt(impatient.acquire([name], 1000))];
  });
  saw('using', [seen, await clients[0].exists(name)], [[false, 'locked'], 0]);
});
await step('twenty updates each', async () => {
  await clients[0].set('app:order:count', '0');
  const work = [one, other].map(async (redlock, i) => {
    for (let round = 0; round < 20; round += 1) {
      const held = await redlock.acquire([name], LONG);
      const before = Number(await clients[i].get('app:order:count'));
      await clients[i].set('app:order:count', String(before + 1));
      await held.release();
    }
  });
  await Promise.all(work);
  saw('none is lost', await clients[0].get('app:order:count'), '40');
});
await step('several resources', async () => {
  const both = ['app:locks:order:1', 'app:locks:order:2'];
  const lock = await impatient.acquire(both, LONG);
  const second = await attempt(impatient.acquire([both[1]], 1000));
  saw('several', [await clients[0].exists(...both), second], [2, 'locked']);
  saw('released', [await attempt(impatient.release(lock)), await clients[0].exists(...both)], ['done', 0]);
});
finish();
