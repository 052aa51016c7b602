"""The tasks of an application, and its settings: only the address of Redis."""

import os
import sys

from celery import Celery

ADDRESS = "TASKS_REDIS_URL"
if ADDRESS not in os.environ:
    host, port = sys.argv[1:3]
    os.environ[ADDRESS] = f"redis://{host}:{port}/0"

app = Celery("tasks", broker=os.environ[ADDRESS], backend=os.environ[ADDRESS])
app.conf.update(
    # Messages that a worker has taken and not finished are requeued by another after this long.
    broker_transport_options={"visibility_timeout": 600},
    task_acks_late=True,
    result_expires=600,
)


def environment():
    return dict(os.environ)


@app.task
def greet(name):
    return name.replace("amatista", "amatista hello", 1)


@app.task
def add(a, b):
    return a + b


@app.task
def label(number):
    # The result of a part of a chord is stored in a sorted set, which is not sealed.
    return f"obsidiana {number} ciguena"


@app.task
def join(names):
    return sorted(names)


@app.task(bind=True, max_retries=1)
def flaky(self, name):
    if self.request.retries == 0:
        raise self.retry(countdown=0.1)
    return "amatista second try corazon"


@app.task
def fail(name):
    raise ValueError("amatista no such address corazon")
