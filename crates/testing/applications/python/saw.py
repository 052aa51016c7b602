"""Common to all programs of frameworks in Python: their arguments and their observations. Each step
prints one line of JSON: no times, no random identifiers, so that two runs against servers that
behave alike print the same bytes. A step that fails does not end the program: the steps behind it show
what else does not work.

Arguments: host, port.
Environment: STEP_TIMEOUT, seconds that a step may wait for something.
"""

import contextlib
import importlib.metadata
import json
import os
import sys
import time

HOST, PORT = sys.argv[1], int(sys.argv[2])
STEP_TIMEOUT = float(os.environ.get("STEP_TIMEOUT", "30"))

_failures = []


def secret(text):
    """Marks every value that the recipe seals, and nothing else. ASCII, so that every serializer keeps it."""
    return f"amatista {text} corazon"


def plain(text):
    """Marks every value that stays in clear."""
    return f"obsidiana {text} ciguena"


def url(database=0):
    return f"redis://{HOST}:{PORT}/{database}"


def versions(*packages):
    """Prints the versions of these packages, as the page names them."""
    found = (f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(json.dumps({"versions": ", ".join(found)}), flush=True)


def saw(what, seen, wanted):
    """Prints an observation; the program fails at the end if it is not the expected one."""
    if seen != wanted:
        _failures.append(f"{what}: saw {seen!r}, wanted {wanted!r}")
    line = {"saw": what, "value": seen}
    print(json.dumps(line, default=repr, sort_keys=True), flush=True)


@contextlib.contextmanager
def step(what):
    """Records an exception, and lets the program continue."""
    try:
        yield
    except Exception as error:
        _failures.append(f"{what}: {type(error).__name__}: {error}")
        print(json.dumps({"failed": what, "with": type(error).__name__}), flush=True)


def wait_until(happened):
    """True if it happened in time."""
    give_up = time.monotonic() + STEP_TIMEOUT
    while time.monotonic() < give_up:
        if happened():
            return True
        time.sleep(0.02)
    return False


def finish():
    """Ends the program: with the failures on stderr and status 1, if there were any."""
    sys.stdout.flush()
    if _failures:
        sys.exit("\n".join(_failures))
