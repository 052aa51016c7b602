"""One of several processes that increment a counter. Arguments: host, port, the counter's name, how many times."""

import sys

import redis

host, port, name, times = sys.argv[1:]
client = redis.Redis(host=host, port=int(port))
seen = [client.incr(name) for _ in range(int(times))]
assert seen == sorted(set(seen)), seen
