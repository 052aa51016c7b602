"""Keeps writing and reading while servers fail, until its input ends, and then prints as JSON which
write of each record was acknowledged last. A write whose answer is not known ends its record: nothing
else is written there, so in the end it holds one of two values.

Arguments: host, port, the prefix of its record names.
"""

import json
import random
import sys
import threading
import time
from collections import Counter

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

HOST, PORT, WORD = sys.argv[1], int(sys.argv[2]), sys.argv[3]
WORKERS = 5
# Seconds until a client abandons a request, and between its requests.
TIMEOUT = 3
PAUSE = 0.004
# Writes per record.
WRITES = 150
# Errors of a server that did not execute the request.
NOT_DONE = ("READONLY", "OOM", "NOREPLICAS", "LOADING", "MASTERDOWN", "MISCONF", "BUSY")

ended = threading.Event()
results = []


class Worker:
    def __init__(self, number):
        self.random = random.Random(f"{WORD}{number}")
        self.prefix = f"wa:{WORD}:{number}"
        self.records, self.errors, self.violations = [], Counter(), []
        self.done = self.number = 0
        self.counter = f"count:{WORD}:{number}"
        self.counted = self.count_attempted = 0
        self.client = None
        self.next_record()

    def next_record(self):
        if self.number:
            self.records.append([self.name, self.acknowledged, self.attempted])
        self.number += 1
        self.name = f"{self.prefix}:{self.number}"
        self.acknowledged = self.attempted = 0

    def value(self, sequence):
        return f"amatista {self.name} {sequence} " + "x" * self.random.randrange(2000)

    def connect(self):
        self.client = redis.Redis(
            host=HOST, port=PORT, decode_responses=True, single_connection_client=True,
            socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0),
        )

    def violation(self, text):
        self.violations.append(text)

    def write(self):
        self.attempted += 1
        if self.client.set(self.name, self.value(self.attempted)) is not True:
            self.violation("SET was not answered with OK")
        self.acknowledged = self.attempted

    def read(self):
        value = self.client.get(self.name)
        # A replica that has not caught up may return an older value.
        if value is None:
            return
        words = value.split(" ")
        if words[:2] != ["amatista", self.name] or not 1 <= int(words[2]) <= self.attempted:
            self.violation(f"GET was answered with the value of another request ({words[:1]})")

    def transaction(self):
        self.attempted += 1
        self.count_attempted += 1
        with self.client.pipeline(transaction=True) as pipe:
            pipe.set(self.name, self.value(self.attempted)).incr(self.counter)
            done, count = pipe.execute()
        if done is not True or not self.counted < count <= self.count_attempted:
            self.violation(f"EXEC was answered with {done!r}, {count!r}")
        self.acknowledged, self.counted = self.attempted, count

    def echo(self):
        token = f"{self.name} {self.random.random()}"
        if self.client.echo(token) != token:
            self.violation("ECHO was answered with something else")

    def fields(self):
        name = f"{self.prefix}:fields"
        field = str(self.random.randrange(8))
        self.client.hset(name, field, f"amatista {name} {field}")
        for field, value in self.client.hgetall(name).items():
            if value != f"amatista {name} {field}":
                self.violation("HGETALL was answered with something else")

    def step(self):
        if self.client is None:
            self.connect()
        steps = [self.write] * 8 + [self.read] * 8 + [self.transaction] * 2 + [self.echo, self.fields]
        self.random.choice(steps)()
        self.done += 1
        if self.attempted >= WRITES:
            self.next_record()
        if self.random.randrange(200) == 0:
            self.leave()

    def leave(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    def run(self):
        while not ended.is_set():
            attempted = self.attempted
            try:
                self.step()
            except redis.RedisError as error:
                text = str(error)
                code = text.split(" ")[0] if isinstance(error, redis.ResponseError) else "connection"
                self.errors[code if code.isupper() else type(error).__name__] += 1
                if not text.startswith(NOT_DONE):
                    self.leave()
                if self.attempted != attempted:
                    self.next_record()
                time.sleep(0.05)
            time.sleep(PAUSE)
        self.next_record()
        results.append(self)


def main():
    threads = [threading.Thread(target=Worker(number).run) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps({
        "done": sum(it.done for it in results),
        "errors": sum((it.errors for it in results), Counter()),
        "records": [record for it in results for record in it.records],
        "counters": [[it.counter, it.counted, it.count_attempted] for it in results],
        "violations": [text for it in results for text in it.violations],
    }))


main()
