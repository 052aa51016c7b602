"""Locks of redis-py: acquired, extended, released, and never held twice.

Arguments: host, port, the lock's name, how many hold it, how often each.
"""

import sys
import threading

import redis
from redis.exceptions import LockError, LockNotOwnedError

host, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
holders, rounds = int(sys.argv[4]), int(sys.argv[5])


def client(**options):
    return redis.Redis(host=host, port=port, **options)


def one_lock(protocol):
    here, there = client(protocol=protocol), client(protocol=protocol)
    mine = here.lock(name, timeout=20)
    assert mine.acquire(blocking=False)
    theirs = there.lock(name, timeout=20)
    assert not theirs.acquire(blocking=False)
    assert mine.owned() and mine.locked() and theirs.locked()
    assert mine.extend(20)
    assert 20_000 < here.pttl(name) <= 40_000
    assert mine.extend(5, replace_ttl=True)
    assert here.pttl(name) <= 5_000
    assert mine.reacquire()
    assert 5_000 < here.pttl(name) <= 20_000
    for refused in (theirs.reacquire, theirs.release):
        theirs.local.token = b"another token"
        try:
            refused()
            raise AssertionError("another token")
        except LockNotOwnedError:
            pass
    there.script_flush()
    mine.release()
    assert here.get(name) is None
    try:
        mine.release()
        raise AssertionError("released twice")
    except LockError:
        pass
    assert theirs.acquire(blocking=False)
    theirs.release()


held = 0
most = 0


def hold():
    global held, most
    connection = client()
    for _ in range(rounds):
        with connection.lock(name, timeout=30, sleep=0.001):
            held += 1
            most = max(most, held)
            connection.ping()
            held -= 1


one_lock(2)
one_lock(3)
threads = [threading.Thread(target=hold) for _ in range(holders)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"held by {most}")
