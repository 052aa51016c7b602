"""huey: a consumer with two workers, tasks with results, one that is retried, one that fails, one that is
scheduled, a pipeline, and a lock."""

from saw import STEP_TIMEOUT, finish, saw, secret, step, url, versions, wait_until

from huey import RedisHuey
from huey.consumer import Consumer
from huey.exceptions import TaskException

huey = RedisHuey("mail", url=url())
attempts = []


@huey.task()
def greet(name):
    return name.replace("amatista", "amatista hello", 1)


@huey.task()
def again(name):
    return name.replace("hello", "twice", 1)


@huey.task(retries=1)
def flaky(name):
    attempts.append(name)
    if len(attempts) == 1:
        raise ValueError(secret("not yet"))
    return name


@huey.task()
def fail(name):
    raise ValueError(secret("no such address"))


@huey.task()
@huey.lock_task("report")
def locked(name):
    return name


def ask(result):
    return result.get(blocking=True, timeout=STEP_TIMEOUT)


def results():
    saw("result", ask(greet(secret("Ana"))), secret("hello Ana"))
    saw("pipeline", [ask(it) for it in huey.enqueue(greet.s(secret("Luis")).then(again))],
        [secret("hello Luis"), secret("twice Luis")])
    kept = greet(secret("Eva"))
    saw("stored", wait_until(lambda: kept.is_ready()), True)


def failures():
    flaky(secret("Paz"))
    saw("retried", wait_until(lambda: len(attempts) == 2), True)
    try:
        saw("no error", ask(fail(secret("Eva"))), None)
    except TaskException as error:
        saw("failed", secret("no such address") in error.metadata["error"], True)


def schedules():
    saw("scheduled", ask(greet.schedule((secret("Paz"),), delay=1)), secret("hello Paz"))
    later = greet.schedule((secret("Luis"),), delay=3600)
    # The consumer puts it into the schedule.
    saw("waits", wait_until(lambda: huey.scheduled_count() == 1), True)
    saw("revoked", [later.revoke(), later.is_revoked()], [None, True])


def locks():
    saw("locked", ask(locked(secret("Ana"))), secret("Ana"))
    with huey.lock_task("report"):
        saw("taken", huey.is_locked("report"), True)
    saw("released", huey.is_locked("report"), False)


versions("huey", "redis")
consumer = Consumer(huey, workers=2, periodic=False, initial_delay=0.01, max_delay=0.05, scheduler_interval=1)
consumer.start()
for part in (results, failures, schedules, locks):
    with step(part.__name__):
        part()
consumer.stop(graceful=True)
finish()
