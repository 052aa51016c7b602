// Common to all client programs: their arguments and their observations. Each step compares what the
// client read with the expected value, and prints it as one line of JSON. No times, nothing random: two
// runs against servers that behave alike print the same bytes.

import assert from 'node:assert/strict';

export const host = process.argv[2];
export const port = Number(process.argv[3]);
export const url = `redis://${host}:${port}`;

/** Marks every value of a protected record, and nothing else. */
export const secret = (text) => `amatista ${text} Ñandú «corazón» 😀`;
/** Marks every value of any other record. */
export const open = (text) => `obsidiana ${text} Cigüeña`;

/** Prints `seen`, and fails unless it is the expected value. */
export function saw(what, seen, wanted) {
  assert.deepStrictEqual(plain(seen), plain(wanted), what);
  console.log(JSON.stringify({ saw: what, value: plain(seen) }));
}

/** Every byte, line breaks and the magic of an envelope among them. */
export const everyByte = Buffer.concat([
  Buffer.from('amatista '),
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  Buffer.from([0x0d, 0x0a, 0xf5, 0x57, 0x02, 0x00]),
]);

/** Converts maps, objects without prototype and buffers to JSON types. */
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

/** Resolves as soon as the condition holds; the test that runs the program limits the time. */
export async function until(condition) {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 5));
}
