// The classic format with Node's own crypto: the reference that Waxseal is tested against.
//
// Reads one JSON object a line and answers each with one line, in the same order:
//   {"op":"seal","key_hex":…,"value_hex":…,"iv_hex":…}  ->  {"stored":…}      (iv_hex may be left out)
//   {"op":"open","key_hex":…,"stored":…}                ->  {"value_hex":…} or {"error":…}
'use strict';

const { createCipheriv, createDecipheriv, randomBytes } = require('node:crypto');
const { createInterface } = require('node:readline');

function seal({ key_hex, value_hex, iv_hex }) {
  const iv = iv_hex ? Buffer.from(iv_hex, 'hex') : randomBytes(16);
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key_hex, 'hex'), iv);
  const body = Buffer.concat([cipher.update(Buffer.from(value_hex, 'hex')), cipher.final()]);
  return { stored: Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64') };
}

function open({ key_hex, stored }) {
  const bytes = Buffer.from(stored, 'base64');
  const iv = bytes.subarray(0, 16);
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key_hex, 'hex'), iv, {
    authTagLength: 16,
  });
  decipher.setAuthTag(bytes.subarray(16, 32));
  const value = Buffer.concat([decipher.update(bytes.subarray(32)), decipher.final()]);
  return { value_hex: value.toString('hex') };
}

const operations = { seal, open };

createInterface({ input: process.stdin }).on('line', (line) => {
  let answer;
  try {
    const request = JSON.parse(line);
    answer = operations[request.op](request);
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
});
