// Bull 4 as an application uses it: jobs that are plain, delayed, prioritised, failing, repeated and many at once. A job
// names a record; confidential data is in that record, not in the job: Bull writes its own records by scripts.

import Queue from 'bull';
import Redis from 'ioredis';
import { finish, host, open, port, saw, secret, step, until, versions, within } from './saw.mjs';

const redis = new Redis({ host, port });
const queue = new Queue('mail', { redis: { host, port }, prefix: 'app:bull' });
queue.setMaxListeners(0);
queue.on('error', () => {});
const done = [];

queue.process('send', 2, async (job) => {
  const letter = await redis.get(`app:letter:${job.data.letter}`);
  await job.progress(50);
  await redis.setex(`app:sent:${job.data.letter}`, 3600, `${letter} enviada`);
  return open(`enviada ${job.data.letter}`);
});
queue.process('fail', async (job) => {
  if (job.attemptsMade === 0) throw new Error('no paper');
  return open('por fin');
});
queue.process('count', 4, async (job) => {
  done.push(job.data.i);
  return job.data.i;
});
const finished = (jobs) => within(Promise.all(jobs.map((job) => job.finished())));

versions('bull', 'ioredis');
await step('jobs', async () => {
  const letters = [0, 1, 2];
  for (const at of letters) await redis.setex(`app:letter:${at}`, 3600, secret(`carta ${at}`));
  const jobs = [];
  for (const letter of letters) jobs.push(await queue.add('send', { letter, note: open('nota') }));
  saw('finished', await finished(jobs), letters.map((at) => open(`enviada ${at}`)));
  const sent = await Promise.all(letters.map((at) => redis.get(`app:sent:${at}`)));
  saw('what they did', sent, letters.map((at) => `${secret(`carta ${at}`)} enviada`));
  const stored = await queue.getJob(jobs[0].id);
  const wanted = [{ letter: 0, note: open('nota') }, 50, 'completed'];
  saw('stored job', [stored.data, stored.progress(), await stored.getState()], wanted);
});
await step('failures', async () => {
  const again = await queue.add('fail', {}, { attempts: 2, backoff: 10 });
  saw('failed once', await finished([again]), [open('por fin')]);
  const broken = await queue.add('fail', { note: open('mal') }, { attempts: 1 });
  const reason = await finished([broken]).catch((error) => error.message);
  const failed = (await queue.getFailed()).map(({ data }) => data);
  saw('failed', [reason, await broken.getState(), failed], ['no paper', 'failed', [{ note: open('mal') }]]);
  await (await queue.getJob(broken.id)).remove();
  saw('removed', await queue.getFailedCount(), 0);
});
await step('delayed and many at once', async () => {
  const delayed = await queue.add('count', { i: 'later' }, { delay: 2000 });
  saw('delayed', [await delayed.getState(), await finished([delayed])], ['delayed', ['later']]);
  const bulk = Array.from({ length: 40 }, (_, i) => ({
    name: 'count',
    data: { i },
    opts: { priority: 1 + (i % 3) },
  }));
  const results = await finished(await queue.addBulk(bulk));
  saw('forty at once', results, bulk.map(({ data }) => data.i));
  saw('each once', done.filter((i) => typeof i === 'number').length, 40);
});
await step('paused', async () => {
  await queue.pause();
  const job = await queue.add('count', { i: 'paused' }, { lifo: true });
  saw('paused', [await queue.getPausedCount(), done.includes('paused')], [1, false]);
  await queue.resume();
  saw('resumed', await finished([job]), ['paused']);
});
await step('repeated', async () => {
  await queue.add('count', { i: 'tick' }, { repeat: { every: 50 } });
  await until(() => done.filter((i) => i === 'tick').length >= 2);
  // A tick that is processed while its repetition is removed adds the next one: so remove until none is left.
  await until(async () => {
    for (const { key } of await queue.getRepeatableJobs()) await queue.removeRepeatableByKey(key);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return (await queue.getRepeatableJobs()).length === 0;
  });
  saw('no longer repeated', await queue.getRepeatableJobs(), []);
});
await step('kept', async () => {
  const kept = await queue.add('count', { i: open('mañana') }, { delay: 3_600_000, jobId: 'kept' });
  await kept.update({ i: open('pasado mañana') });
  saw('kept', (await queue.getJob('kept')).data, { i: open('pasado mañana') });
  await until(async () => (await queue.getActiveCount()) + (await queue.getWaitingCount()) === 0);
  await queue.clean(0, 'completed');
  saw('cleaned', [await queue.getCompletedCount(), await queue.getFailedCount()], [0, 0]);
});
finish();
