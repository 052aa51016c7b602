"""Django with django-redis as the cache: sessions, values, a counter that several processes increment, a
lock, as in an application with several workers."""

import multiprocessing

from saw import STEP_TIMEOUT, finish, saw, secret, step, url, versions

import django
from django.conf import settings

PROCESSES, INCREMENTS = 8, 100


def configure():
    settings.configure(
        SECRET_KEY="not a secret, since nothing is signed with it",
        CACHES={
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": url(),
                "KEY_PREFIX": "app",
            }
        },
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        INSTALLED_APPS=["django.contrib.sessions"],
        USE_TZ=True,
    )
    django.setup()


configure()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import cache  # noqa: E402


def sessions():
    session = SessionStore()
    session["user"] = secret("Ana")
    session["cart"] = [1, 2, 3]
    session.save()
    again = SessionStore(session_key=session.session_key)
    saw("session", again["user"], secret("Ana"))
    again["user"] = secret("Luis")
    again.save()
    # As at a login: the same data under another identifier.
    before = again.session_key
    again.cycle_key()
    saw("another identifier", again.session_key != before, True)
    saw("moved", SessionStore(session_key=again.session_key)["user"], secret("Luis"))
    saw("left", SessionStore(session_key=before).get("user"), None)
    ended = SessionStore()
    ended["user"] = secret("Eva")
    ended.save()
    ended.flush()
    saw("ended", SessionStore(session_key=before).load(), {})


def values():
    saw("set", cache.set("profile", {"name": secret("Ana")}, timeout=600), True)
    saw("get", cache.get("profile"), {"name": secret("Ana")})
    saw("add", [cache.add("new", secret("a")), cache.add("new", secret("b"))], [True, False])
    saw("set_many", cache.set_many({"m1": secret("uno"), "m2": secret("dos")}), None)
    saw("get_many", cache.get_many(["m1", "m2", "m3"]), {"m1": secret("uno"), "m2": secret("dos")})
    saw("get_or_set", cache.get_or_set("made", lambda: secret("made")), secret("made"))
    saw("touch", cache.touch("profile", 900), True)
    saw("ttl", 600 < cache.ttl("profile") <= 900, True)
    saw("has_key", [cache.has_key("m1"), cache.has_key("m3")], [True, False])
    saw("delete", [cache.delete("m1"), cache.get("m1")], [True, None])
    saw("keys", sorted(cache.keys("m*")), ["m2", "made"])
    saw("delete_pattern", cache.delete_pattern("m*"), 2)
    saw("version", [cache.set("v", secret("dos"), version=2), cache.get("v"), cache.get("v", version=2)],
        [True, None, secret("dos")])


def increment(_):
    # A connection is not shared between processes.
    cache.close()
    for _ in range(INCREMENTS):
        cache.incr("counter:visits")


def counters():
    cache.set("counter:visits", 0, timeout=600)
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        pool.map(increment, range(PROCESSES), chunksize=1)
    saw("counted", cache.get("counter:visits"), PROCESSES * INCREMENTS)
    saw("decr", cache.decr("counter:visits", 5), PROCESSES * INCREMENTS - 5)


def locks():
    lock = cache.lock("lock:report", timeout=30, blocking_timeout=STEP_TIMEOUT)
    saw("acquired", lock.acquire(), True)
    saw("taken", cache.lock("lock:report", timeout=30).acquire(blocking=False), False)
    saw("extended", lock.extend(30), True)
    saw("released", lock.release(), None)
    with cache.lock("lock:report", timeout=30, blocking_timeout=1):
        saw("again", True, True)
    saw("gone", cache.has_key("lock:report"), False)


versions("Django", "django-redis", "redis")
for part in (sessions, values, counters, locks):
    with step(part.__name__):
        part()
finish()
