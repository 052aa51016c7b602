// A small WhatsApp bot: conversation states, temporary passwords, locks, a rate limit, a queue,
// and the clean-up job of another process that reads all states as they are stored.

import Redis from 'ioredis';
import { host, open, port, saw, secret } from './saw.mjs';

const HOUR = 3600;
const STALE = 1_700_000_000_000;
const redis = new Redis({ host, port });
const users = Array.from({ length: 40 }, (_, i) => `521551234${String(1000 + i)}`);

const state = {
  read: async (user) => JSON.parse((await redis.get(`wa:${user}`)) ?? 'null'),
  write: (user, value) => redis.setex(`wa:${user}`, HOUR, JSON.stringify(value)),
};

/** Handles one message of a user; returns the bot's answer. */
async function message(user, text, at) {
  const token = open(`dueño ${user}`);
  if ((await redis.set(`lock:wa:${user}`, token, 'PX', 30_000, 'NX')) === null) return 'busy';
  try {
    const count = await redis.incr(`rate:${user}`);
    if (count === 1) await redis.expire(`rate:${user}`, 60);
    if (count > 6) return 'too many';
    return await answer(user, text, at);
  } finally {
    if ((await redis.get(`lock:wa:${user}`)) === token) await redis.del(`lock:wa:${user}`);
  }
}

const FIELDS = ['nombre_completo', 'email', 'domicilio'];

async function answer(user, text, at) {
  const known = await state.read(user);
  if (!known) {
    const fresh = { status: 'awaiting_privacy_consent', currentField: null, data: {} };
    await state.write(user, { ...fresh, aviso: secret('privacidad'), createdAt: at, updatedAt: at });
    return '¿acepta?';
  }
  if (known.status === 'awaiting_privacy_consent') {
    await state.write(user, {
      ...known,
      status: 'collecting_data',
      currentField: FIELDS[0],
      updatedAt: at,
    });
    return FIELDS[0];
  }
  if (!known.currentField) {
    await state.write(user, { ...known, updatedAt: at });
    return '¿correcto?';
  }
  known.data[known.currentField] = secret(text);
  const next = FIELDS[FIELDS.indexOf(known.currentField) + 1] ?? null;
  const status = next ? 'collecting_data' : 'confirming';
  await state.write(user, { ...known, status, currentField: next, updatedAt: at });
  if (!next) await redis.rpush('bull:tramites:wait', open(`trámite de ${user}`));
  return next ?? `¿correcto, ${known.data.nombre_completo}?`;
}

/** Another process: reads every state, deletes those that have not been touched for long. */
async function cleanUp(before) {
  const outcome = { seen: 0, dropped: 0, byStatus: {} };
  const seen = new Set();
  for await (const names of redis.scanStream({ match: 'wa:*', count: 10 })) {
    for (const name of names) {
      if (seen.has(name)) continue;
      seen.add(name);
      const value = JSON.parse(await redis.get(name));
      outcome.seen += 1;
      outcome.byStatus[value.status] = (outcome.byStatus[value.status] ?? 0) + 1;
      if (value.updatedAt < before) {
        outcome.dropped += await redis.del(name);
      }
    }
  }
  return outcome;
}

for (const [at, user] of users.entries()) {
  const texts = ['hola', 'sí', `Núñez ${at}`, `persona.${at}@example.com`, 'Cañón 5, Mérida'];
  const when = STALE + (at % 4 === 0 ? -1000 : 1000);
  const replies = [];
  for (const text of texts.slice(0, 1 + (at % 5))) replies.push(await message(user, text, when));
  saw('conversation', replies.length, 1 + (at % 5));
  console.log(JSON.stringify({ user, replies, state: await state.read(user) }));
}
const impatient = users[4];
const more = [];
for (let i = 0; i < 3; i += 1) more.push(await message(impatient, 'ya', STALE + 5000));
saw('rate limit', more.at(-1), 'too many');
await redis.set(`lock:wa:${users[5]}`, open('otro proceso'), 'PX', 60_000, 'NX');
saw('locked', await message(users[5], 'hola', STALE), 'busy');

for (const [at, user] of users.slice(0, 10).entries()) {
  const name = `whatsapp:temp_password:${user}`;
  await redis.set(name, secret(`clave ${at}`), 'EX', 72 * HOUR);
  const left = await redis.ttl(name);
  saw('72 hours', left > 72 * HOUR - 60 && left <= 72 * HOUR, true);
  saw('password', await redis.get(name), secret(`clave ${at}`));
}
const used = `whatsapp:temp_password:${users[0]}`;
saw('used once', [await redis.getdel(used), await redis.get(used)], [secret('clave 0'), null]);

// Every fourth of forty is stale, except the impatient one.
const outcome = await cleanUp(STALE);
saw('clean-up', outcome, {
  seen: 40,
  dropped: 9,
  byStatus: { awaiting_privacy_consent: 8, collecting_data: 24, confirming: 8 },
});
saw('nothing left to drop', (await cleanUp(STALE)).dropped, 0);
saw('states expire', (await redis.ttl(`wa:${users[1]}`)) > HOUR - 60, true);
const waiting = await redis.llen('bull:tramites:wait');
saw('first of the queue', (await redis.brpop('bull:tramites:wait', 1))[0], 'bull:tramites:wait');
saw('queue', await redis.llen('bull:tramites:wait'), waiting - 1);
await redis.quit();
