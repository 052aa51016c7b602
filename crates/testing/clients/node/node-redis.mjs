// node-redis as an application uses it, with the protocol version of the third argument: strings,
// hashes, lists, pipelines, transactions, pools, blocking pops, subscriptions, iterators.

import { RESP_TYPES, WatchError, createClient, createClientPool } from 'redis';
import { everyByte, open, saw, secret, until, url } from './saw.mjs';

const RESP = Number(process.argv[4]);
const options = { url, RESP, name: 'waxseal-test', socket: { reconnectStrategy: false } };
async function connect(more = {}) {
  const client = createClient({ ...options, ...more });
  client.on('error', (error) => {
    throw error;
  });
  return await client.connect();
}
const redis = await connect();
saw('name', await redis.clientGetName(), 'waxseal-test');

// Strings.
const set = { expiration: { type: 'EX', value: 3600 } };
saw('set', await redis.set('wa:n:1', secret('uno'), set), 'OK');
saw('get', await redis.get('wa:n:1'), secret('uno'));
saw('set get', await redis.set('wa:n:1', secret('dos'), { GET: true }), secret('uno'));
saw('set nx fails', await redis.set('wa:n:1', secret('x'), { condition: 'NX' }), null);
saw('setex', await redis.setEx('wa:n:2', 3600, secret('tres')), 'OK');
saw('psetex', await redis.pSetEx('wa:n:3', 3600000, secret('cuatro')), 'OK');
saw('setnx', await redis.setNX('wa:n:4', secret('cinco')), 1);
saw('getdel', await redis.getDel('wa:n:4'), secret('cinco'));
saw('getex', await redis.getEx('wa:n:3', { type: 'PERSIST' }), secret('cuatro'));
saw('ttl', await redis.ttl('wa:n:3'), -1);
saw('strlen', await redis.strLen('wa:n:2'), Buffer.byteLength(secret('tres')));
saw('getrange', await redis.getRange('wa:n:2', 0, 7), 'amatista');
saw('binary set', await redis.set('wa:n:bin', everyByte), 'OK');
const binary = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
saw('binary get', await binary.get('wa:n:bin'), everyByte);
saw('absent', await redis.get('wa:n:nobody'), null);
const pairs = { 'wa:n:5': secret('seis'), 'open:n:1': open('uno') };
saw('mset', await redis.mSet(pairs), 'OK');
saw('mget', await redis.mGet(['open:n:1', 'wa:n:nobody', 'wa:n:5']), [
  open('uno'),
  null,
  secret('seis'),
]);
saw('type', await redis.type('wa:n:5'), 'string');
saw('del', await redis.del(['wa:n:5', 'wa:n:nobody']), 1);

// Hashes.
const person = { nombre: secret('Ana'), domicilio: secret('calle'), color: secret('añil') };
saw('hset', await redis.hSet('wa:n:h', person), 3);
saw('hget', await redis.hGet('wa:n:h', 'nombre'), secret('Ana'));
saw('hmget', await redis.hmGet('wa:n:h', ['color', 'nada']), [secret('añil'), null]);
saw('hgetall', await redis.hGetAll('wa:n:h'), person);
saw('hvals', (await redis.hVals('wa:n:h')).sort(), Object.values(person).sort());
saw('hdel', await redis.hDel('wa:n:h', 'color'), 1);
const random = await redis.hRandFieldCountWithValues('wa:n:h', 5);
saw('hrandfield', random.sort((a, b) => (a.field < b.field ? -1 : 1)), [
  { field: 'domicilio', value: secret('calle') },
  { field: 'nombre', value: secret('Ana') },
]);
const scanned = {};
for await (const page of redis.hScanIterator('wa:n:h')) {
  for (const { field, value } of [page].flat()) scanned[field] = value;
}
saw('hscan', scanned, { nombre: secret('Ana'), domicilio: secret('calle') });
saw('open hash', await redis.hSet('open:n:h', { a: open('a'), b: open('b') }), 2);
saw('open hgetall', await redis.hGetAll('open:n:h'), { a: open('a'), b: open('b') });

// Lists.
saw('rpush', await redis.rPush('wa:n:l', ['a', 'b', 'c', 'd'].map(secret)), 4);
saw('lrange', await redis.lRange('wa:n:l', 0, -1), ['a', 'b', 'c', 'd'].map(secret));
saw('lpop count', await redis.lPopCount('wa:n:l', 2), ['a', 'b'].map(secret));
saw('rpop', await redis.rPop('wa:n:l'), secret('d'));
saw('lmpop', await redis.lmPop(['wa:n:none', 'wa:n:l'], 'LEFT', { COUNT: 5 }), [
  'wa:n:l',
  [secret('c')],
]);
saw('lpush', await redis.lPush('wa:n:l', ['e', 'f'].map(secret)), 2);
saw('ltrim', await redis.lTrim('wa:n:l', 0, 0), 'OK');
saw('lindex', await redis.lIndex('wa:n:l', 0), secret('f'));

// Records other than session data.
const lock = { condition: 'NX', expiration: { type: 'PX', value: 60000 } };
saw('lock', await redis.set('lock:wa:n:1', open('dueño'), lock), 'OK');
saw('lock taken', await redis.set('lock:wa:n:1', open('otro'), lock), null);
saw('incr', [await redis.incr('rate:n'), await redis.incrBy('rate:n', 4)], [1, 5]);
saw('sadd', await redis.sAdd('open:n:s', [open('a'), open('b')]), 2);
saw('smembers', (await redis.sMembers('open:n:s')).sort(), [open('a'), open('b')]);
const scores = [
  { score: 1.5, value: open('uno') },
  { score: 2, value: open('dos') },
];
saw('zadd', await redis.zAdd('open:n:z', scores), 2);
saw('zrange', await redis.zRangeWithScores('open:n:z', 0, -1), scores);
saw('zscore', await redis.zScore('open:n:z', open('uno')), 1.5);
saw('xadd', await redis.xAdd('open:n:x', '1-1', { campo: open('x') }), '1-1');
saw('xrange', (await redis.xRange('open:n:x', '-', '+')).map((it) => ({ ...it.message })), [
  { campo: open('x') },
]);
const script = "return {ARGV[1], redis.call('get', KEYS[1])}";
saw('eval', await redis.eval(script, { keys: ['open:n:1'], arguments: [open('arg')] }), [
  open('arg'),
  open('uno'),
]);
saw('error', await redis.lPush('open:n:1', 'x').catch((error) => error), new Error('WRONGTYPE'));

// Many at once: commands sent in one tick are written together.
const numbers = Array.from({ length: 60 }, (_, i) => i);
const written = numbers.map((i) => redis.set(`wa:n:p${i}`, secret(`p${i}`), set));
const read = numbers.map((i) => redis.get(`wa:n:p${i}`));
saw('pipeline writes', await Promise.all(written), numbers.map(() => 'OK'));
saw('pipeline reads', await Promise.all(read), numbers.map((i) => secret(`p${i}`)));

// Transactions.
const result = await redis
  .multi()
  .set('wa:n:t', secret('antes'))
  .get('wa:n:t')
  .incr('rate:t')
  .hGetAll('wa:n:h')
  .lRange('wa:n:l', 0, -1)
  .mGet(['open:n:1', 'wa:n:t'])
  .exec();
saw('transaction', result, [
  'OK',
  secret('antes'),
  1,
  { nombre: secret('Ana'), domicilio: secret('calle') },
  [secret('f')],
  [open('uno'), secret('antes')],
]);
const other = await connect();
await redis.watch('wa:n:t');
await other.set('wa:n:t', secret('otro'));
const lost = await redis
  .multi()
  .set('wa:n:t', secret('yo'))
  .exec()
  .catch((error) => error);
saw('watched and changed', lost instanceof WatchError, true);
await redis.watch('wa:n:t');
saw('watched', await redis.multi().set('wa:n:t', secret('yo')).exec(), ['OK']);
const pool = await createClientPool(options, { minimum: 2, maximum: 4 }).connect();
const pooled = await Promise.all(numbers.map((i) => pool.get(`wa:n:p${i}`)));
saw('pool', pooled, numbers.map((i) => secret(`p${i}`)));

// Blocking.
const blocked = await connect();
const popped = blocked.blPop(['wa:n:q', 'open:n:q'], 0);
await until(async () => (await redis.clientList()).some((client) => client.cmd === 'blpop'));
await redis.rPush('wa:n:q', secret('tarea'));
saw('blpop', await popped, { key: 'wa:n:q', element: secret('tarea') });
await redis.rPush('open:n:q', open('tarea'));
saw('brpop at once', await blocked.brPop(['wa:n:q', 'open:n:q'], 1), {
  key: 'open:n:q',
  element: open('tarea'),
});
await redis.rPush('wa:n:q', ['a', 'b'].map(secret));
saw('blmpop', await blocked.blmPop(1, ['wa:n:q'], 'RIGHT', { COUNT: 2 }), [
  'wa:n:q',
  ['b', 'a'].map(secret),
]);
saw('blpop of nothing', await blocked.blPop('wa:n:q', 0.01), null);

// Subscriptions. With RESP3 the same connection accepts other commands meanwhile.
const subscriber = await connect();
const heard = [];
await subscriber.subscribe('noticias', (message, channel) => heard.push([channel, message]));
await subscriber.pSubscribe('av*', (message, channel) => heard.push([channel, message]));
saw('publish', await redis.publish('noticias', open('hola')), 1);
saw('publish to a pattern', await redis.publish('avisos', open('adiós')), 1);
await until(() => heard.length === 2);
saw('heard', heard, [
  ['noticias', open('hola')],
  ['avisos', open('adiós')],
]);
if (RESP === 3) saw('beside', await subscriber.get('wa:n:1'), secret('dos'));
await subscriber.unsubscribe('noticias');
await subscriber.pUnsubscribe('av*');
// On a connection that was subscribed, the library returns buffers for a while.
saw('after the subscription', String(await subscriber.get('wa:n:1')), secret('dos'));

// Another database.
const second = await connect({ database: 1 });
saw('second database', await second.set('wa:n:db1', secret('uno')), 'OK');
saw('not in the first', await redis.get('wa:n:db1'), null);
saw('second database get', await second.get('wa:n:db1'), secret('uno'));

// Scan.
const found = new Set();
for await (const page of redis.scanIterator({ MATCH: 'wa:n:p*', COUNT: 7 })) {
  for (const name of [page].flat()) found.add(name);
}
saw('scan', [...found].sort(), numbers.map((i) => `wa:n:p${i}`).sort());

await pool.close();
for (const client of [redis, other, blocked, subscriber, second]) await client.close();
saw('closed', true, true);
