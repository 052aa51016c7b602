// rate-limiter-flexible as a web application uses it: the limiters of two processes share their counters in Redis,
// beside the users' sessions under one prefix. An insurance limiter, which many applications have, hides that Redis refuses:
// then each process counts separately.

import Redis from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { finish, host, port, saw, secret, step, until, versions } from './saw.mjs';

const clients = [0, 1].map(() => new Redis({ host, port }));
const limiters = (name, options) =>
  clients.map(
    (storeClient) =>
      new RateLimiterRedis({
        storeClient,
        keyPrefix: `app:limit:${name}`,
        insuranceLimiter: new RateLimiterMemory({ points: options.points, duration: 60 }),
        ...options,
      }),
  );

/** The result of a limiter: the remaining points, or that there are none. */
const ask = async (limiter, user) => {
  try {
    return (await limiter.consume(user)).remainingPoints;
  } catch (refused) {
    if (refused instanceof Error) throw refused;
    return `limited after ${refused.consumedPoints}`;
  }
};

const [one, other] = limiters('login', { points: 5, duration: 60 });

versions('rate-limiter-flexible', 'ioredis');
await step('session', async () => {
  // The reason to protect the prefix.
  await clients[0].setex('app:session:ana', 3600, secret('Ana'));
  saw('session', await clients[1].get('app:session:ana'), secret('Ana'));
});
await step('a limit', async () => {
  const answers = [];
  for (let i = 0; i < 8; i += 1) answers.push(await ask(i % 2 ? other : one, 'ana'));
  const limited = [6, 7, 8].map((consumed) => `limited after ${consumed}`);
  saw('five of eight, whichever process is asked', answers, [4, 3, 2, 1, 0, ...limited]);
  saw('another user', await ask(other, 'eva'), 4);
  const counts = [(await one.get('ana')).consumedPoints, (await other.get('eva')).consumedPoints];
  saw('counts', counts, [8, 1]);
});
await step('a crowd', async () => {
  const atOnce = Array.from({ length: 40 }, (_, i) => ask(i % 2 ? other : one, 'crowd'));
  const passed = (await Promise.all(atOnce)).filter((answer) => typeof answer === 'number');
  saw('five of forty at once', passed.sort(), [0, 1, 2, 3, 4]);
});
await step('what else it does with a counter', async () => {
  saw('reward', (await other.reward('ana', 4)).consumedPoints, 4);
  saw('penalty', (await one.penalty('ana', 1)).consumedPoints, 5);
  const deleted = [await one.delete('ana'), await other.get('ana'), await ask(one, 'ana')];
  saw('deleted', deleted, [true, null, 4]);
  await one.set('eva', 5, 60);
  saw('set', await ask(other, 'eva'), 'limited after 6');
  await one.block('mallory', 60);
  saw('blocked', String(await ask(other, 'mallory')).startsWith('limited'), true);
});
await step('a block that is longer than the limit', async () => {
  const [strict, strict2] = limiters('strict', { points: 1, duration: 2, blockDuration: 60 });
  saw('blocks', [await ask(strict, 'ana'), await ask(strict2, 'ana')], [0, 'limited after 2']);
  saw('for a minute', (await strict.get('ana')).msBeforeNext > 30_000, true);
});
await step('an end', async () => {
  const [short] = limiters('short', { points: 1, duration: 2 });
  saw('once', [await ask(short, 'ana'), await ask(short, 'ana')], [0, 'limited after 2']);
  await until(async () => (await short.get('ana')) === null);
  saw('once more when its time is over', await ask(short, 'ana'), 0);
});
finish();
