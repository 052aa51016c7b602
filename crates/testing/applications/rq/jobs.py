"""The jobs of an application."""

from saw import secret


def greet(name):
    assert name.startswith("amatista")
    return secret("done")


def fail(name):
    raise ValueError(secret("no such address"))
