"""The jobs of an application."""

from saw import plain


def greet(name):
    assert name.startswith("amatista")
    return plain("done")


def fail(name):
    raise ValueError(plain("no such address"))
