// The classic format with Node's own crypto, timed by Node's own clock: from text to text, as an
// application that keeps JSON has it, and from bytes to bytes. One request a line, one answer a line:
//   key <hex>                    ->  ok
//   value <text>                 ->  its stored form; remembered by its length in bytes
//   <operation> <length> <count> ->  nanoseconds for doing that so many times with that value
'use strict';

const { createCipheriv, createDecipheriv, randomBytes } = require('node:crypto');
const { createInterface } = require('node:readline');

let key;
const values = new Map();

// Of text as UTF-8, or of bytes.
function seal(value) {
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const body = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64');
}

function open(stored) {
  const bytes = Buffer.from(stored, 'base64');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 16));
  decipher.setAuthTag(bytes.subarray(16, 32));
  return Buffer.concat([decipher.update(bytes.subarray(32)), decipher.final()]);
}

function openText(stored) {
  return open(stored).toString('utf8');
}

function timed(operation, input, count) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i += 1) operation(input);
  return String(process.hrtime.bigint() - start);
}

const requests = {
  key(hex) {
    key = Buffer.from(hex, 'hex');
    return 'ok';
  },
  value(text) {
    const stored = seal(text);
    if (openText(stored) !== text) throw new Error('what was sealed does not open');
    const bytes = Buffer.from(text);
    values.set(String(bytes.length), { text, bytes, stored });
    return stored;
  },
  sealText: (length, count) => timed(seal, values.get(length).text, Number(count)),
  sealBytes: (length, count) => timed(seal, values.get(length).bytes, Number(count)),
  openText: (length, count) => timed(openText, values.get(length).stored, Number(count)),
  openBytes: (length, count) => timed(open, values.get(length).stored, Number(count)),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const [name, ...rest] = line.split(' ');
  const answer = name === 'value' ? requests.value(rest.join(' ')) : requests[name](...rest);
  process.stdout.write(`${answer}\n`);
});
