"""What both client programs do with their arguments and with what they saw: each step compares what
the client read with what it must be, and prints it as one line of JSON. No times, no chance: two
runs against servers that behave alike print the same bytes.

Arguments: host, port, protocol version (2 or 3), parser (python or hiredis).
"""

import json
import sys

HOST, PORT, PROTOCOL, PARSER = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if PARSER == "python":
    # Where it cannot be imported, the library takes its own parser.
    sys.modules["hiredis"] = None
else:
    import hiredis  # noqa: F401  (fails where it is missing, instead of falling back)

EVERY_BYTE = b"amatista " + bytes(range(256)) + b"\r\n\xf5\x57\x02\x00"


def secret(text):
    """In every value of a protected record, and nowhere else."""
    return f"amatista {text} Ñandú «corazón» 😀"


def plain(text):
    """In every value of any other record."""
    return f"obsidiana {text} Cigüeña"


def saw(what, seen, wanted):
    """Fails unless `seen` is what it must be, and says so."""
    seen, wanted = _json(seen), _json(wanted)
    assert seen == wanted, f"{what}: saw {seen!r}, wanted {wanted!r}"
    print(json.dumps({"saw": what, "value": seen}, ensure_ascii=False, sort_keys=True))


def _json(value):
    if isinstance(value, bytes):
        return "hex:" + value.hex()
    if isinstance(value, dict):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(inner) for inner in value]
    if isinstance(value, set):
        return sorted(_json(inner) for inner in value)
    return value
