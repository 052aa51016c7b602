// ioredis as an application uses it: strings, hashes, lists, pipelines, automatic pipelining,
// transactions, blocking pops, subscriptions, scans, scripts, a second database.

import Redis from 'ioredis';
import { everyByte, host, open, port, saw, secret, until } from './saw.mjs';

const connect = (options = {}) => new Redis({ host, port, ...options });
const redis = connect();

// Strings.
saw('set', await redis.set('wa:i:1', secret('uno'), 'EX', 3600), 'OK');
saw('get', await redis.get('wa:i:1'), secret('uno'));
saw('set get', await redis.set('wa:i:1', secret('dos'), 'KEEPTTL', 'GET'), secret('uno'));
saw('ttl stays', (await redis.ttl('wa:i:1')) > 3000, true);
saw('set nx fails', await redis.set('wa:i:1', secret('nunca'), 'NX'), null);
saw('setex', await redis.setex('wa:i:2', 3600, secret('tres')), 'OK');
saw('getset', await redis.getset('wa:i:2', secret('cuatro')), secret('tres'));
saw('getex', await redis.getex('wa:i:2', 'EX', 60), secret('cuatro'));
saw('strlen', await redis.strlen('wa:i:2'), Buffer.byteLength(secret('cuatro')));
saw('getrange', await redis.getrange('wa:i:2', 0, 7), 'amatista');
saw('binary set', await redis.set('wa:i:bin', everyByte), 'OK');
saw('binary get', await redis.getBuffer('wa:i:bin'), everyByte);
saw('empty', await redis.set('wa:i:empty', ''), 'OK');
saw('empty get', await redis.get('wa:i:empty'), '');
saw('absent', await redis.get('wa:i:nobody'), null);
saw('mset', await redis.mset('wa:i:3', secret('cinco'), 'open:i:1', open('uno')), 'OK');
saw('mget', await redis.mget('open:i:1', 'wa:i:nobody', 'wa:i:3'), [
  open('uno'),
  null,
  secret('cinco'),
]);
saw('getdel', await redis.getdel('wa:i:3'), secret('cinco'));
saw('exists', await redis.exists('wa:i:1', 'wa:i:3', 'open:i:1'), 2);

// Hashes.
saw('hset', await redis.hset('wa:i:h', { nombre: secret('Ana'), domicilio: secret('calle') }), 2);
saw('hset again', await redis.hset('wa:i:h', 'nombre', secret('Eva')), 0);
saw('hsetnx', await redis.hsetnx('wa:i:h', 'nombre', secret('nunca')), 0);
saw('hget', await redis.hget('wa:i:h', 'nombre'), secret('Eva'));
saw('hmget', await redis.hmget('wa:i:h', 'domicilio', 'nada'), [secret('calle'), null]);
saw('hgetall', await redis.hgetall('wa:i:h'), {
  nombre: secret('Eva'),
  domicilio: secret('calle'),
});
saw('hvals', (await redis.hvals('wa:i:h')).sort(), [secret('Eva'), secret('calle')].sort());
saw('hstrlen', await redis.hstrlen('wa:i:h', 'nombre'), Buffer.byteLength(secret('Eva')));
saw('hkeys', (await redis.hkeys('wa:i:h')).sort(), ['domicilio', 'nombre']);
const scanned = {};
for await (const page of redis.hscanStream('wa:i:h')) {
  for (let at = 0; at < page.length; at += 2) scanned[page[at]] = page[at + 1];
}
saw('hscan', scanned, { nombre: secret('Eva'), domicilio: secret('calle') });
saw('open hash', await redis.hset('open:i:h', 'a', open('a')), 1);
saw('hincrby', await redis.hincrby('open:i:h', 'n', 5), 5);

// Lists.
saw('rpush', await redis.rpush('wa:i:l', secret('a'), secret('b'), secret('c')), 3);
saw('lpush', await redis.lpush('wa:i:l', secret('z')), 4);
saw('lrange', await redis.lrange('wa:i:l', 0, -1), ['z', 'a', 'b', 'c'].map(secret));
saw('lset', await redis.lset('wa:i:l', 1, secret('A')), 'OK');
saw('lindex', await redis.lindex('wa:i:l', 1), secret('A'));
saw('lpop', await redis.lpop('wa:i:l'), secret('z'));
saw('rpop count', await redis.rpop('wa:i:l', 2), [secret('c'), secret('b')]);
saw('open list', await redis.rpush('open:i:l', open('a'), open('b')), 2);
saw('lmove', await redis.lmove('open:i:l', 'open:i:l2', 'LEFT', 'RIGHT'), open('a'));

// Records other than session data.
saw('lock', await redis.set('lock:wa:i:1', open('dueño'), 'PX', 60000, 'NX'), 'OK');
saw('lock taken', await redis.set('lock:wa:i:1', open('otro'), 'PX', 60000, 'NX'), null);
saw('incr', [await redis.incr('rate:i'), await redis.incr('rate:i')], [1, 2]);
saw('expire', await redis.expire('rate:i', 60), 1);
saw('zadd', await redis.zadd('open:i:z', 1, open('uno'), 2, open('dos')), 2);
saw('zrange', await redis.zrange('open:i:z', 0, -1, 'WITHSCORES'), [
  open('uno'),
  '1',
  open('dos'),
  '2',
]);
saw('append', await redis.append('open:i:1', '…'), Buffer.byteLength(open('uno') + '…'));
redis.defineCommand('unlock', {
  numberOfKeys: 1,
  lua: "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0",
});
saw('script, wrong owner', await redis.unlock('lock:wa:i:1', open('otro')), 0);
saw('script', await redis.unlock('lock:wa:i:1', open('dueño')), 1);

// Many at once.
const pipeline = redis.pipeline();
for (let i = 0; i < 50; i += 1) {
  pipeline.set(`wa:i:p${i}`, secret(`p${i}`), 'EX', 3600).get(`wa:i:p${i}`);
  pipeline.set(`open:i:p${i}`, open(`p${i}`)).get(`open:i:p${i}`);
}
pipeline.incr('wa:i:l');
const piped = await pipeline.exec();
saw('pipeline', piped.slice(0, 4), [
  [null, 'OK'],
  [null, secret('p0')],
  [null, 'OK'],
  [null, open('p0')],
]);
saw('pipeline end', piped.slice(196, 200)[1], [null, secret('p49')]);
saw('error inside a pipeline', piped.length === 201 && piped[200][0] instanceof Error, true);
const auto = connect({ enableAutoPipelining: true });
const names = Array.from({ length: 50 }, (_, i) => `wa:i:p${i}`);
saw(
  'automatic pipeline',
  await Promise.all(names.map((name) => auto.get(name))),
  names.map((_, i) => secret(`p${i}`)),
);

// Transactions.
const result = await redis
  .multi()
  .set('wa:i:t', secret('antes'))
  .get('wa:i:t')
  .incr('rate:t')
  .hset('wa:i:th', 'f', secret('campo'))
  .hgetall('wa:i:th')
  .lrange('wa:i:l', 0, -1)
  .exec();
saw('transaction', result, [
  [null, 'OK'],
  [null, secret('antes')],
  [null, 1],
  [null, 1],
  [null, { f: secret('campo') }],
  [null, [secret('A')]],
]);
const other = connect();
await redis.watch('wa:i:t');
await other.set('wa:i:t', secret('otro'));
saw('watched and changed', await redis.multi().set('wa:i:t', secret('yo')).exec(), null);
await redis.watch('wa:i:t');
saw('watched', await redis.multi().set('wa:i:t', secret('yo')).exec(), [[null, 'OK']]);
saw('after', await other.get('wa:i:t'), secret('yo'));

// Blocking.
const blocked = connect();
const popped = blocked.brpop('wa:i:q', 'open:i:q', 0);
await until(async () => / cmd=brpop /.test(await redis.client('LIST')));
await redis.lpush('wa:i:q', secret('tarea'));
saw('brpop', await popped, ['wa:i:q', secret('tarea')]);
await redis.lpush('open:i:q', open('tarea'));
saw('blpop at once', await blocked.blpop('wa:i:q', 'open:i:q', 1), ['open:i:q', open('tarea')]);
saw('blpop of nothing', await blocked.blpop('wa:i:q', 0.01), null);
saw('goes on', await blocked.get('wa:i:1'), secret('dos'));

// Subscriptions.
const subscriber = connect();
const heard = [];
subscriber.on('message', (channel, message) => heard.push([channel, message]));
subscriber.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
saw('subscribe', await subscriber.subscribe('noticias', 'avisos'), 2);
saw('psubscribe', await subscriber.psubscribe('av*'), 3);
saw('publish', await redis.publish('noticias', open('hola')), 1);
await until(() => heard.length === 1);
saw('publish to both', await redis.publish('avisos', open('adiós')), 2);
await until(() => heard.length === 3);
saw('heard', heard, [
  ['noticias', open('hola')],
  ['avisos', open('adiós')],
  ['av*', 'avisos', open('adiós')],
]);
await subscriber.unsubscribe('noticias', 'avisos');
await subscriber.punsubscribe('av*');
saw('after the subscription', await subscriber.get('wa:i:1'), secret('dos'));

// Another database.
const second = connect({ db: 1 });
saw('second database', await second.set('wa:i:db1', secret('uno')), 'OK');
saw('not in the first', await redis.get('wa:i:db1'), null);
saw('second database get', await second.get('wa:i:db1'), secret('uno'));

// Scan.
const found = [];
for await (const page of redis.scanStream({ match: 'wa:i:p*', count: 7 })) found.push(...page);
saw('scan', [...new Set(found)].sort(), [...names].sort());

for (const client of [redis, auto, other, blocked, subscriber, second]) {
  saw('quit', await client.quit(), 'OK');
}
