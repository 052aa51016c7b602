"""redis-py with asyncio: the same uses as the synchronous program, many at a time."""

import asyncio

from saw import EVERY_BYTE, HOST, PARSER, PORT, PROTOCOL, plain, saw, secret

import redis.asyncio as redis
from redis.exceptions import WatchError
from redis.utils import HIREDIS_AVAILABLE

saw("parser", HIREDIS_AVAILABLE, PARSER == "hiredis")


def connect(**options):
    options = {"decode_responses": True, **options}
    return redis.Redis(host=HOST, port=PORT, protocol=PROTOCOL, **options)


async def values(r):
    saw("set", await r.set("wa:a:1", secret("uno"), ex=3600), True)
    saw("get", await r.get("wa:a:1"), secret("uno"))
    saw("getset", await r.getset("wa:a:1", secret("dos")), secret("uno"))
    saw("mset", await r.mset({"wa:a:2": secret("tres"), "open:a:1": plain("uno")}), True)
    saw("mget", await r.mget("open:a:1", "x", "wa:a:2"), [plain("uno"), None, secret("tres")])
    person = {"nombre": secret("Ana"), "domicilio": secret("calle")}
    saw("hset", await r.hset("wa:a:h", mapping=person), 2)
    saw("hgetall", await r.hgetall("wa:a:h"), person)
    saw("hscan", {field: it async for field, it in r.hscan_iter("wa:a:h")}, person)
    saw("rpush", await r.rpush("wa:a:l", secret("a"), secret("b")), 2)
    saw("lrange", await r.lrange("wa:a:l", 0, -1), [secret("a"), secret("b")])
    saw("lpop", await r.lpop("wa:a:l"), secret("a"))
    saw("lock", await r.set("lock:wa:a:1", plain("dueño"), px=60000, nx=True), True)
    saw("incr", await r.incr("rate:a"), 1)
    raw = connect(decode_responses=False)
    saw("binary set", await raw.set("wa:a:bin", EVERY_BYTE), True)
    saw("binary get", await raw.get("wa:a:bin"), EVERY_BYTE)
    await raw.aclose()


async def many(r):
    await asyncio.gather(*(r.setex(f"wa:a:p{i}", 3600, secret(f"p{i}")) for i in range(60)))
    read = await asyncio.gather(*(r.get(f"wa:a:p{i}") for i in range(60)))
    saw("beside each other", read, [secret(f"p{i}") for i in range(60)])
    async with r.pipeline(transaction=False) as pipe:
        for i in range(60):
            pipe.get(f"wa:a:p{i}")
            pipe.set(f"open:a:p{i}", plain(f"p{i}"))
        replies = await pipe.execute()
    saw("pipeline", replies, [it for i in range(60) for it in (secret(f"p{i}"), True)])
    found = {name async for name in r.scan_iter("wa:a:p*", count=7)}
    saw("scan", found, {f"wa:a:p{i}" for i in range(60)})


async def transactions(r):
    async with r.pipeline(transaction=True) as pipe:
        pipe.set("wa:a:t", secret("antes")).get("wa:a:t").incr("rate:at").lrange("wa:a:l", 0, -1)
        saw("transaction", await pipe.execute(), [True, secret("antes"), 1, [secret("b")]])
    async with r.pipeline() as pipe:
        await pipe.watch("wa:a:t")
        await r.set("wa:a:t", secret("otro"))
        pipe.multi()
        pipe.set("wa:a:t", secret("yo"))
        try:
            saw("no conflict", await pipe.execute(), None)
        except WatchError:
            saw("watched and changed", await r.get("wa:a:t"), secret("otro"))


async def waiting(r):
    popped = asyncio.create_task(connect().brpop(["wa:a:q", "open:a:q"], 0))
    while not any(client["cmd"] == "brpop" for client in await r.client_list()):
        await asyncio.sleep(0.005)
    await r.rpush("wa:a:q", secret("tarea"))
    saw("brpop", await popped, ["wa:a:q", secret("tarea")])
    await r.rpush("open:a:q", plain("tarea"))
    saw("blpop at once", await r.blpop(["wa:a:q", "open:a:q"], 1), ["open:a:q", plain("tarea")])
    async with r.pubsub() as listener:
        await listener.subscribe("noticias")
        saw("subscribed", (await listener.get_message(timeout=5))["type"], "subscribe")
        saw("publish", await r.publish("noticias", plain("hola")), 1)
        saw("heard", (await listener.get_message(timeout=5))["data"], plain("hola"))


async def main():
    r = connect()
    saw("ping", await r.ping(), True)
    for part in (values, many, transactions, waiting):
        await part(r)
    second = connect(db=1)
    saw("second database", await second.set("wa:a:db1", secret("uno")), True)
    saw("not in the first", await r.get("wa:a:db1"), None)
    for client in (r, second):
        await client.aclose()


asyncio.run(main())
