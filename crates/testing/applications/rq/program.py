"""RQ: jobs with a result, a job that depends on another, one that fails and is retried, one that is
scheduled, all by a worker in burst mode like `rq worker --burst`."""

import datetime
import logging
import sys

from saw import finish, saw, secret, step, url, versions

import jobs
import redis
from rq import Queue, Retry, SimpleWorker
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry

logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
connection = redis.Redis.from_url(url())
queue = Queue("mail", connection=connection)


def work():
    SimpleWorker([queue], connection=connection).work(burst=True, logging_level="ERROR", with_scheduler=False)


def status(job):
    return Job.fetch(job.id, connection=connection).get_status().value


def results():
    job = queue.enqueue(jobs.greet, secret("Ana"), result_ttl=600)
    saw("queued", [status(job), queue.count], ["queued", 1])
    saw("argument", Job.fetch(job.id, connection=connection).args, (secret("Ana"),))
    work()
    saw("done", [status(job), queue.count], ["finished", 0])
    saw("result", job.latest_result().return_value, secret("done"))
    saw("finished", job.id in FinishedJobRegistry(queue=queue).get_job_ids(), True)


def dependents():
    before = queue.enqueue(jobs.greet, secret("Luis"))
    after = queue.enqueue(jobs.greet, secret("Eva"), depends_on=before)
    last = queue.enqueue(jobs.greet, secret("Paz"), depends_on=[before, after])
    saw("waits", [status(after), status(last)], ["deferred", "deferred"])
    saw("dependents", {it for it in before.dependent_ids} == {after.id, last.id}, True)
    work()
    saw("all", [status(it) for it in (before, after, last)], ["finished"] * 3)


def failures():
    job = queue.enqueue(jobs.fail, secret("Ana"), retry=Retry(max=1), failure_ttl=600)
    work()
    saw("failed", [status(job), job.id in FailedJobRegistry(queue=queue).get_job_ids()], ["failed", True])
    saw("why", "ValueError" in job.latest_result().exc_string, True)
    saw("again", FailedJobRegistry(queue=queue).requeue(job.id).get_status().value, "queued")
    work()
    saw("still", status(job), "failed")


def schedules():
    later = datetime.timedelta(hours=1)
    job = queue.enqueue_in(later, jobs.greet, secret("Luis"))
    saw("scheduled", [status(job), job.id in ScheduledJobRegistry(queue=queue)], ["scheduled", True])
    job.cancel()
    saw("canceled", status(job), "canceled")
    job.delete()
    saw("deleted", Job.exists(job.id, connection=connection), False)
    job = queue.enqueue(jobs.greet, secret("Eva"), meta={"who": secret("Eva")})
    job.meta["step"] = secret("dos")
    job.save_meta()
    saw("meta", Job.fetch(job.id, connection=connection).meta, {"who": secret("Eva"), "step": secret("dos")})


versions("rq", "redis")
for part in (results, dependents, failures, schedules):
    with step(part.__name__):
        part()
with step("failed jobs"):
    saw("failed jobs", len(FailedJobRegistry(queue=queue)), 1)
finish()
