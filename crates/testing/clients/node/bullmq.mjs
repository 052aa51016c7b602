// BullMQ as a bot uses it: a queue whose records no pattern protects, whose worker reads and writes
// protected ones. Plain, delayed, prioritised, failing and repeated jobs; events; a flow.

import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import Redis from 'ioredis';
import { host, open, port, saw, secret, until } from './saw.mjs';

const connection = { host, port, maxRetriesPerRequest: null };
const redis = new Redis({ host, port });
const queue = new Queue('correo', { connection });
const events = new QueueEvents('correo', { connection });
await events.waitUntilReady();
const heard = { completed: 0, failed: 0 };
events.on('completed', () => (heard.completed += 1));
events.on('failed', () => (heard.failed += 1));

// Jobs name a record; the confidential data is in the record.
const names = Array.from({ length: 5 }, (_, i) => `wa:b:${i}`);
for (const name of names) await redis.setex(name, 3600, JSON.stringify({ nombre: secret(name) }));

const done = [];
const worker = new Worker(
  'correo',
  async (job) => {
    if (job.name === 'broken') throw new Error(open('no hay tal'));
    if (job.data.record) {
      const state = JSON.parse(await redis.get(job.data.record));
      await redis.hset(`${job.data.record}:h`, 'hecho', secret(state.nombre));
      await job.updateProgress(50);
    }
    done.push(job.name);
    return open(`hecho ${job.name}`);
  },
  { connection, concurrency: 2 },
);
await worker.waitUntilReady();

// One after another: a job's result arrives as an event.
for (const [at, name] of names.entries()) {
  const job = await queue.add(`send ${at}`, { record: name, open: open(`datos ${at}`) });
  saw('job', await job.waitUntilFinished(events), open(`hecho send ${at}`));
  saw('its record', await redis.hget(`${name}:h`, 'hecho'), secret(secret(name)));
}
const stored = await queue.getJob('1');
saw('stored job', [stored.data.open, stored.progress], [open('datos 0'), 50]);

const delayed = await queue.add('delayed', { open: open('luego') }, { delay: 50 });
saw('delayed', await delayed.getState(), 'delayed');
saw('delayed job', await delayed.waitUntilFinished(events), open('hecho delayed'));

const broken = await queue.add('broken', { open: open('mal') }, { attempts: 2, backoff: 10 });
const failure = await broken.waitUntilFinished(events).catch((error) => error);
saw('failed job', [failure.message, await broken.getState()], [open('no hay tal'), 'failed']);

const bulk = Array.from({ length: 20 }, (_, i) => ({
  name: `bulk ${i}`,
  data: { open: open(`lote ${i}`) },
  opts: { priority: 1 + (i % 3) },
}));
const added = await queue.addBulk(bulk);
const answers = await Promise.all(added.map((job) => job.waitUntilFinished(events)));
saw('bulk', answers, bulk.map(({ name }) => open(`hecho ${name}`)));

await queue.upsertJobScheduler('reloj', { every: 40 }, { name: 'tick', data: { open: open('tic') } });
await until(() => done.filter((name) => name === 'tick').length >= 3);
saw('repeated', (await queue.getJobSchedulers()).map(({ key, name }) => [key, name]), [
  ['reloj', 'tick'],
]);
saw('no longer repeated', await queue.removeJobScheduler('reloj'), true);

const flow = new FlowProducer({ connection });
const tree = await flow.add({
  name: 'parent',
  queueName: 'correo',
  data: { open: open('padre') },
  children: [0, 1].map((i) => ({
    name: `child ${i}`,
    queueName: 'correo',
    data: { open: open(`hijo ${i}`) },
  })),
});
saw('flow', await tree.job.waitUntilFinished(events), open('hecho parent'));
const children = Object.values(await tree.job.getChildrenValues()).sort();
saw('children', children, [open('hecho child 0'), open('hecho child 1')]);

await until(async () => (await queue.getActiveCount()) === 0 && (await queue.getWaitingCount()) === 0);
saw('failed', await queue.getFailedCount(), 1);
await until(() => heard.completed >= 5 + 1 + 20 + 3 + 3 && heard.failed === 1);
saw('done at least', done.length >= 32, true);

await worker.close();
await events.close();
await flow.close();
await queue.close();
await redis.quit();
