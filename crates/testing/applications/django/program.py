"""Django with its own cache on Redis: sessions, values, and a counter that several processes increment."""

import multiprocessing

from saw import finish, saw, secret, step, url, versions

import django
from django.conf import settings

PROCESSES, INCREMENTS = 4, 50

settings.configure(
    SECRET_KEY="not a secret, since nothing is signed with it",
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url(),
            "KEY_PREFIX": "app",
        }
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
    USE_TZ=True,
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import cache  # noqa: E402


def sessions():
    session = SessionStore()
    session["user"] = secret("Ana")
    session.save()
    again = SessionStore(session_key=session.session_key)
    saw("session", again["user"], secret("Ana"))
    again.cycle_key()
    saw("moved", SessionStore(session_key=again.session_key)["user"], secret("Ana"))
    saw("left", SessionStore(session_key=session.session_key).get("user"), None)


def values():
    saw("set", cache.set("profile", {"name": secret("Ana")}, timeout=600), None)
    saw("get", cache.get("profile"), {"name": secret("Ana")})
    saw("add", [cache.add("new", secret("a")), cache.add("new", secret("b"))], [True, False])
    saw("set_many", cache.set_many({"m1": secret("uno"), "m2": secret("dos")}, timeout=600), [])
    saw("get_many", cache.get_many(["m1", "m2", "m3"]), {"m1": secret("uno"), "m2": secret("dos")})
    saw("get_or_set", cache.get_or_set("made", lambda: secret("made")), secret("made"))
    saw("touch", cache.touch("profile", 900), True)
    saw("has_key", [cache.has_key("m1"), cache.has_key("m3")], [True, False])
    saw("delete_many", cache.delete_many(["m1", "m2"]), None)
    saw("deleted", cache.get_many(["m1", "m2"]), {})


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


versions("Django", "redis")
for part in (sessions, values, counters):
    with step(part.__name__):
        part()
finish()
