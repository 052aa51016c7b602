"""Celery with Redis as its broker and as its backend: a worker as `celery worker` starts it, a task, one
that is retried, one that fails, one with an expiry, a chain, a group and a chord that finishes."""

import pathlib
import subprocess
import sys

from saw import STEP_TIMEOUT, finish, plain, saw, secret, step, versions, wait_until

import tasks
from celery import chain, chord, group

directory = pathlib.Path(__file__).parent


def worker():
    words = ["-A", "tasks", "worker", "--loglevel", "ERROR", "--concurrency", "2", "--pool", "threads",
             "--without-gossip", "--without-mingle", "--without-heartbeat"]
    program = "import sys; from celery.__main__ import main; sys.exit(main())"
    arguments = [sys.executable, "-c", program, *words]
    # The tasks read the address from this program's environment.
    return subprocess.Popen(arguments, cwd=directory, env=tasks.environment(), stdout=sys.stderr)


def single():
    result = tasks.greet.delay(secret("Ana"))
    saw("result", result.get(timeout=STEP_TIMEOUT), secret("hello Ana"))
    saw("state", result.state, "SUCCESS")
    result.forget()
    saw("forgotten", tasks.app.AsyncResult(result.id).state, "PENDING")


def several():
    numbers = group(tasks.add.s(i, i) for i in range(6)).delay()
    saw("group", numbers.get(timeout=STEP_TIMEOUT), [2 * i for i in range(6)])
    saw("chain", chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4)).delay().get(timeout=STEP_TIMEOUT), 10)


def chords():
    result = chord(tasks.label.s(i) for i in range(5))(tasks.join.s())
    saw("chord", result.get(timeout=STEP_TIMEOUT), [plain(i) for i in range(5)])


def failures():
    saw("retried", tasks.flaky.delay(secret("Luis")).get(timeout=STEP_TIMEOUT), secret("second try"))
    failed = tasks.fail.delay(secret("Eva"))
    saw("failed", wait_until(lambda: failed.state == "FAILURE"), True)
    saw("why", str(failed.result), secret("no such address"))


def schedules():
    saw("later", tasks.greet.apply_async([secret("Paz")], countdown=0.3).get(timeout=STEP_TIMEOUT),
        secret("hello Paz"))
    revoked = tasks.greet.apply_async([secret("Eva")], countdown=3600)
    saw("pending", revoked.state, "PENDING")


versions("celery", "kombu", "redis")
running = worker()
try:
    for part in (single, several, chords, failures, schedules):
        with step(part.__name__):
            part()
finally:
    running.terminate()
    running.wait()
saw("worker ended", running.returncode, 0)
finish()
