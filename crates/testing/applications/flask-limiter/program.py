"""Flask with Flask-Limiter: limits by each strategy that really limit, beside values of the application
under the same prefix."""

import redis
from flask import Flask, request
from flask_limiter import Limiter
from saw import finish, saw, secret, step, url, versions

LIMIT = 5
store = redis.Redis.from_url(url(), decode_responses=True)


def application(strategy):
    app = Flask(strategy)
    limiter = Limiter(
        lambda: request.headers["X-User"],
        app=app,
        storage_uri=url(),
        storage_options={"key_prefix": "app:limits"},
        strategy=strategy,
        # No window of this length ends while the tests run.
        default_limits=[f"{LIMIT} per 50 year"],
    )

    @app.get(f"/{strategy}")
    def profile():
        name = f"app:profile:{request.headers['X-User']}"
        store.set(name, secret("Ana"), ex=600)
        return store.get(name)

    return app.test_client(), limiter


def limits(strategy):
    client, limiter = application(strategy)

    def ask(user):
        # Strategies store records of different kinds under one name.
        return client.get(f"/{strategy}", headers={"X-User": f"{user}.{strategy}"})

    answers = [ask("ana") for _ in range(LIMIT + 2)]
    saw("answers", [it.status_code for it in answers], [200] * LIMIT + [429] * 2)
    saw("body", answers[0].text, secret("Ana"))
    saw("another user", ask("luis").status_code, 200)
    saw("reset", [limiter.reset(), ask("ana").status_code], [None, 200])


versions("Flask-Limiter", "limits", "Flask", "redis")
for strategy in ("fixed-window", "moving-window", "sliding-window-counter"):
    with step(strategy):
        limits(strategy)
finish()
