// What every client program does with its arguments and with what it saw: each step compares what
// the client read with what it must be, and prints it as one line of JSON. No times, no chance: two
// runs against servers that behave alike print the same bytes.

import assert from 'node:assert/strict';

export const host = process.argv[2];
export const port = Number(process.argv[3]);
export const url = `redis://${host}:${port}`;

/** In every value of a protected record, and nowhere else. */
export const secret = (text) => `amatista ${text} Ñandú «corazón» 😀`;
/** In every value of any other record. */
export const open = (text) => `obsidiana ${text} Cigüeña`;

/** Fails unless `seen` is what it must be, and says so. */
export function saw(what, seen, wanted) {
  assert.deepStrictEqual(plain(seen), plain(wanted), what);
  console.log(JSON.stringify({ saw: what, value: plain(seen) }));
}

/** Every byte there is, line breaks and the magic of an envelope among them. */
export const everyByte = Buffer.concat([
  Buffer.from('amatista '),
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  Buffer.from([0x0d, 0x0a, 0xf5, 0x57, 0x02, 0x00]),
]);

/** Maps, objects without prototype and buffers as what JSON can say. */
function plain(value) {
  if (value instanceof Uint8Array) return `hex:${Buffer.from(value).toString('hex')}`;
  if (value instanceof Map) return plain(Object.fromEntries(value));
  if (value instanceof Error) return `error:${value.message.split(' ')[0]}`;
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') {
    const pairs = Object.entries(value).map(([name, inner]) => [name, plain(inner)]);
    return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return value === undefined ? null : value;
}

/** Resolves as soon as it holds; the test that runs the program limits how long. */
export async function until(condition) {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 5));
}
