"""Takes a lock with redis-py's Lock through the proxy, repeatedly, and records that directly at the server.

python holder.py HOST PROXY SERVER NAME LIFETIME [broken]

Ends when the record `stop` exists. With `broken` the lock is released by deleting it, whichever process holds it: the control.
"""

import os
import random
import sys
import time
from pathlib import Path

import redis
from redis.exceptions import LockError
from redis.lock import Lock

HOST, PROXY, SERVER, NAME, LIFETIME = sys.argv[1:6]
BROKEN = sys.argv[6:] == ["broken"]
LIFETIME = int(LIFETIME)
DIRECTORY = Path(__file__).parent
# One in this many is too slow.
SLOW = 4 if BROKEN else 40
RECORDS = ["witness", "overlaps", "counts"]

proxy = redis.Redis(host=HOST, port=int(PROXY))
server = redis.Redis(host=HOST, port=int(SERVER))
enter = server.register_script((DIRECTORY / "enter.lua").read_text())
leave = server.register_script((DIRECTORY / "leave.lua").read_text())


def milliseconds():
    return time.time_ns() // 1_000_000


def hold(me, lock, until):
    """The work within the lock; returns its expiry."""
    if enter(RECORDS, [me, until]) != b"entered":
        return until
    if random.randrange(6) == 0:
        extended = milliseconds() + LIFETIME
        if lock.extend(LIFETIME / 1000, replace_ttl=True):
            until = extended
            enter(RECORDS, [me, until])
    # Some hold it long enough to be killed meanwhile.
    time.sleep(random.uniform(0.02, 0.06) if random.randrange(5) == 0 else random.uniform(0.001, 0.01))
    if random.randrange(SLOW) == 0:
        # Too slow: another holder has the lock by the time this one releases it.
        time.sleep(max(0, until - milliseconds()) / 1000 + random.uniform(0, 0.02))
    return until


def attempt(me):
    lock = Lock(proxy, NAME, timeout=LIFETIME / 1000, blocking=False)
    until = milliseconds() + LIFETIME
    if not lock.acquire():
        time.sleep(random.uniform(0.001, 0.01))
        return
    try:
        until = hold(me, lock, until)
    except LockError:
        # Not extended: it had expired.
        pass
    leave(RECORDS, [me, until])
    if BROKEN:
        proxy.delete(NAME)
        return
    try:
        lock.release()
    except LockError:
        server.hincrby("counts", "lost")


turn = 0
while not server.exists("stop"):
    turn += 1
    attempt(f"{os.getpid()}:{turn}")
