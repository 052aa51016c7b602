// The same as `chaos.py` beside the Python clients, with ioredis: keeps writing and reading while servers
// fail, until its input ends, and then prints as JSON which write of each record was acknowledged last.
// A write without a known reply ends the use of its record.
//
// Arguments: host, port, the prefix of its record names.

import Redis from 'ioredis';

import { host, port } from './saw.mjs';

const word = process.argv[4];
const WORKERS = 5;
/** Milliseconds until a client abandons a request, and between its requests. */
const TIMEOUT = 3000;
const PAUSE = 4;
/** Writes per record. */
const WRITES = 150;

const errors = {};
const records = [];
const counters = [];
const violations = [];
let done = 0;
let ended = false;

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

class Worker {
  constructor(number) {
    this.prefix = `wa:${word}:${number}`;
    this.counter = `count:${word}:${number}`;
    this.number = 0;
    this.counted = 0;
    this.countAttempted = 0;
    this.nextRecord();
  }

  nextRecord() {
    if (this.number) records.push([this.name, this.acknowledged, this.attempted]);
    this.number += 1;
    this.name = `${this.prefix}:${this.number}`;
    this.acknowledged = 0;
    this.attempted = 0;
  }

  value(sequence) {
    return `amatista ${this.name} ${sequence} ${'x'.repeat(Math.floor(Math.random() * 2000))}`;
  }

  connect() {
    this.client = new Redis({
      host,
      port,
      commandTimeout: TIMEOUT,
      connectTimeout: TIMEOUT,
      maxRetriesPerRequest: 0,
      // A lost reply must be visible to this program.
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => null,
    });
    // The requests fail as well, and report it.
    this.client.on('error', () => {});
  }

  async write() {
    this.attempted += 1;
    const answer = await this.client.set(this.name, this.value(this.attempted));
    if (answer !== 'OK') violations.push('SET was not answered with OK');
    this.acknowledged = this.attempted;
  }

  async read() {
    const value = await this.client.get(this.name);
    // A replica that has not caught up may return an older value.
    if (value === null) return;
    const [first, name, sequence] = value.split(' ');
    const known = Number(sequence) >= 1 && Number(sequence) <= this.attempted;
    if (first !== 'amatista' || name !== this.name || !known) {
      violations.push(`GET was answered with the value of another request (${first})`);
    }
  }

  async transaction() {
    this.attempted += 1;
    this.countAttempted += 1;
    const queued = this.client.multi().set(this.name, this.value(this.attempted)).incr(this.counter);
    const [[setError, answer], [countError, count]] = await queued.exec();
    if (setError || countError) throw setError ?? countError;
    if (answer !== 'OK' || !(this.counted < count && count <= this.countAttempted)) {
      violations.push(`EXEC was answered with ${answer}, ${count}`);
    }
    this.acknowledged = this.attempted;
    this.counted = count;
  }

  async echo() {
    const token = `${this.name} ${Math.random()}`;
    if ((await this.client.echo(token)) !== token) violations.push('ECHO was answered with something else');
  }

  async fields() {
    const name = `${this.prefix}:fields`;
    const field = String(Math.floor(Math.random() * 8));
    await this.client.hset(name, field, `amatista ${name} ${field}`);
    for (const [field, value] of Object.entries(await this.client.hgetall(name))) {
      if (value !== `amatista ${name} ${field}`) violations.push('HGETALL was answered with something else');
    }
  }

  async step() {
    if (!this.client) this.connect();
    const chance = Math.floor(Math.random() * 20);
    if (chance < 8) await this.write();
    else if (chance < 16) await this.read();
    else if (chance < 18) await this.transaction();
    else if (chance < 19) await this.echo();
    else await this.fields();
    done += 1;
    if (this.attempted >= WRITES) this.nextRecord();
    if (Math.random() < 0.005) this.leave();
  }

  leave() {
    this.client?.disconnect();
    this.client = undefined;
  }

  async run() {
    while (!ended) {
      const { attempted } = this;
      try {
        await this.step();
      } catch (error) {
        const first = error.message.split(' ')[0];
        const code = /^[A-Z]+$/.test(first) ? first : 'connection';
        errors[code] = (errors[code] ?? 0) + 1;
        this.leave();
        if (this.attempted !== attempted) this.nextRecord();
        await pause(50);
      }
      await pause(PAUSE);
    }
    this.nextRecord();
    this.leave();
    counters.push([this.counter, this.counted, this.countAttempted]);
  }
}

process.stdin.on('end', () => {
  ended = true;
});
process.stdin.resume();
await Promise.all(Array.from({ length: WORKERS }, (_, number) => new Worker(number).run()));
console.log(JSON.stringify({ done, errors, records, counters, violations }));
