// The classic format with Node's own crypto, timed by Node's own clock. One request a line, one
// answer a line:
//   key <hex>             ->  ok
//   value <text>          ->  the stored form of the text, which is remembered by its length
//   seal <length> <count> ->  nanoseconds for sealing the text of that length so many times
//   open <length> <count> ->  nanoseconds for opening it
'use strict';

const { createCipheriv, createDecipheriv, randomBytes } = require('node:crypto');
const { createInterface } = require('node:readline');

let key;
const values = new Map();

function seal(value) {
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const body = Buffer.concat([cipher.update(value), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64');
}

function open(stored) {
  const bytes = Buffer.from(stored, 'base64');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 16));
  decipher.setAuthTag(bytes.subarray(16, 32));
  return Buffer.concat([decipher.update(bytes.subarray(32)), decipher.final()]);
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
    const value = Buffer.from(text);
    const stored = seal(value);
    if (!open(stored).equals(value)) throw new Error('what was sealed does not open');
    values.set(String(value.length), { value, stored });
    return stored;
  },
  seal: (length, count) => timed(seal, values.get(length).value, Number(count)),
  open: (length, count) => timed(open, values.get(length).stored, Number(count)),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const [name, ...rest] = line.split(' ');
  const answer = name === 'value' ? requests.value(rest.join(' ')) : requests[name](...rest);
  process.stdout.write(`${answer}\n`);
});
