// Common to all programs of frameworks in Node: their arguments and their observations. Each step prints lines of
// JSON: no times, no random identifiers, so that two runs against servers that behave alike print the same
// bytes. A step that fails does not end the program: the steps after it show what else fails.
//
// Arguments: host, port.
// Environment: STEP_TIMEOUT, seconds that a step may wait for something.

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

export const host = process.argv[2];
export const port = Number(process.argv[3]);
const STEP_TIMEOUT = Number(process.env.STEP_TIMEOUT ?? 30) * 1000;
const failures = [];

/** Marks every value that the recipe seals, and nothing else. */
export const secret = (text) => `amatista ${text} Ñandú «corazón» 😀`;
/** Marks every value that stays in clear. */
export const open = (text) => `obsidiana ${text} Cigüeña`;

/** Prints the versions of these packages, as the page names them. */
export const versions = (...names) => {
  const version = (name) => {
    const path = new URL(`../node_modules/${name}/package.json`, import.meta.url);
    return JSON.parse(readFileSync(path, 'utf8')).version.replace(/^v/, '');
  };
  console.log(JSON.stringify({ versions: names.map((name) => `${name} ${version(name)}`).join(', ') }));
};

/** Prints an observation; the program fails at the end if it is not the expected one. */
export const saw = (what, seen, wanted) => {
  const plain = (value) => JSON.parse(JSON.stringify(value ?? null));
  if (!isDeepStrictEqual(plain(seen), plain(wanted))) {
    failures.push(`${what}: saw ${JSON.stringify(seen)}, wanted ${JSON.stringify(wanted)}`);
  }
  console.log(JSON.stringify({ saw: what, value: plain(seen) }));
};

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Rejects after the time that a step may wait. */
export const within = async (promise) => {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error('waited too long')), STEP_TIMEOUT);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Resolves as soon as the condition holds. */
export const until = async (condition) => {
  const giveUp = Date.now() + STEP_TIMEOUT;
  while (!(await condition())) {
    if (Date.now() > giveUp) throw new Error('waited too long');
    await sleep(5);
  }
};

/** Records a failure, and lets the program continue. */
export const step = async (what, body) => {
  try {
    await within(body());
  } catch (error) {
    failures.push(`${what}: ${error.stack ?? error}`);
    console.log(JSON.stringify({ failed: what, with: error.name }));
  }
};

/** Ends the program: with the failures on stderr and status 1, if there were any. */
export const finish = () => {
  if (failures.length > 0) console.error(failures.join('\n'));
  process.exit(failures.length > 0 ? 1 : 0);
};

// A framework may ignore failures of background work.
process.on('unhandledRejection', (error) => failures.push(`in the background: ${error?.stack ?? error}`));
