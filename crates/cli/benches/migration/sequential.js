// What a team writes first: one record after another, each step awaited.
// Arguments: port, key in hex, how many records at most.
'use strict';
const crypto = require('crypto');
const Redis = require('ioredis');

const [port, keyHex, most] = process.argv.slice(2);
const redis = new Redis({ port: Number(port), host: '127.0.0.1' });
const key = Buffer.from(keyHex, 'hex');

function seal(value) {
  const iv = crypto.randomBytes(16);
  const cipher = crypto.createCipheriv('aes-256-gcm', key, iv);
  const body = Buffer.concat([cipher.update(value), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64');
}

async function main() {
  let cursor = '0';
  let done = 0;
  const started = process.hrtime.bigint();
  do {
    const [next, names] = await redis.scan(cursor, 'MATCH', 'wa:*', 'COUNT', 500);
    cursor = next;
    for (const name of names) {
      const value = await redis.get(name);
      if (value === null || !value.startsWith('{')) continue;
      const ttl = await redis.pttl(name);
      const sealed = seal(Buffer.from(value));
      if (ttl > 0) await redis.set(name, sealed, 'PX', ttl);
      else await redis.set(name, sealed);
      done += 1;
      if (done >= Number(most)) cursor = '0';
      if (done >= Number(most)) break;
    }
  } while (cursor !== '0');
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(JSON.stringify({ done, seconds }));
  redis.disconnect();
}

main();
