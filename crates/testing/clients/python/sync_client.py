"""redis-py as a synchronous application uses it: strings, hashes, lists, pipelines, transactions
with WATCH, blocking pops, subscriptions, locks, scripts, scans, a second database."""

import threading
import time

from saw import EVERY_BYTE, HOST, PARSER, PORT, PROTOCOL, plain, saw, secret

import redis
from redis.utils import HIREDIS_AVAILABLE

saw("parser", HIREDIS_AVAILABLE, PARSER == "hiredis")


def connect(**options):
    options = {"decode_responses": True, "client_name": "waxseal-test", **options}
    return redis.Redis(host=HOST, port=PORT, protocol=PROTOCOL, **options)


r = connect()
raw = connect(decode_responses=False)
saw("ping", r.ping(), True)
saw("name", r.client_getname(), "waxseal-test")

# Strings.
saw("set", r.set("wa:s:1", secret("uno"), ex=3600), True)
saw("get", r.get("wa:s:1"), secret("uno"))
saw("set get", r.set("wa:s:1", secret("dos"), get=True, keepttl=True), secret("uno"))
saw("ttl stays", r.ttl("wa:s:1") > 3000, True)
saw("set nx fails", r.set("wa:s:1", secret("x"), nx=True), None)
saw("setex", r.setex("wa:s:2", 3600, secret("tres")), True)
saw("psetex", r.psetex("wa:s:3", 3600000, secret("cuatro")), True)
saw("setnx", r.setnx("wa:s:3", secret("x")), False)
saw("getset", r.getset("wa:s:2", secret("cinco")), secret("tres"))
saw("getex", r.getex("wa:s:2", ex=60), secret("cinco"))
saw("getdel", r.getdel("wa:s:3"), secret("cuatro"))
saw("strlen", r.strlen("wa:s:2"), len(secret("cinco").encode()))
saw("getrange", r.getrange("wa:s:2", 0, 7), "amatista")
saw("binary set", raw.set("wa:s:bin", EVERY_BYTE), True)
saw("binary get", raw.get("wa:s:bin"), EVERY_BYTE)
saw("absent", r.get("wa:s:nobody"), None)
saw("mset", r.mset({"wa:s:4": secret("seis"), "open:s:1": plain("uno")}), True)
saw("mget", r.mget("open:s:1", "wa:s:nobody", "wa:s:4"), [plain("uno"), None, secret("seis")])
saw("exists", r.exists("wa:s:4", "wa:s:nobody", "open:s:1"), 2)
saw("unlink", r.unlink("wa:s:4"), 1)

# Hashes.
person = {"nombre": secret("Ana"), "domicilio": secret("calle")}
saw("hset", r.hset("wa:s:h", mapping=person), 2)
saw("hget", r.hget("wa:s:h", "nombre"), secret("Ana"))
saw("hmget", r.hmget("wa:s:h", ["domicilio", "nada"]), [secret("calle"), None])
saw("hgetall", r.hgetall("wa:s:h"), person)
saw("hvals", sorted(r.hvals("wa:s:h")), sorted(person.values()))
saw("hscan", dict(r.hscan_iter("wa:s:h")), person)
saw("hstrlen", r.hstrlen("wa:s:h", "nombre"), len(secret("Ana").encode()))
saw("hexists", r.hexists("wa:s:h", "nombre"), True)
saw("open hash", r.hset("open:s:h", mapping={"a": plain("a")}), 1)
saw("hincrby", r.hincrby("open:s:h", "n", 5), 5)

# Lists.
saw("rpush", r.rpush("wa:s:l", secret("a"), secret("b"), secret("c")), 3)
saw("lpushx", r.lpushx("wa:s:l", secret("z")), 4)
saw("lrange", r.lrange("wa:s:l", 0, -1), [secret(it) for it in "zabc"])
saw("lset", r.lset("wa:s:l", 0, secret("Z")), True)
saw("lpop", r.lpop("wa:s:l"), secret("Z"))
saw("rpop", r.rpop("wa:s:l", 2), [secret("c"), secret("b")])
saw("lindex", r.lindex("wa:s:l", 0), secret("a"))
saw("open list", r.rpush("open:s:l", plain("a"), plain("b")), 2)
saw("sort", r.sort("open:s:l", alpha=True, desc=True), [plain("b"), plain("a")])

# Others than session data.
saw("lock", r.set("lock:wa:s:1", plain("dueño"), px=60000, nx=True), True)
saw("lock taken", r.set("lock:wa:s:1", plain("otro"), px=60000, nx=True), None)
with r.lock("lock:script", timeout=30):
    saw("lock by script", r.exists("lock:script"), 1)
saw("released", r.exists("lock:script"), 0)
saw("incr", [r.incr("rate:s"), r.incr("rate:s")], [1, 2])
saw("zadd", r.zadd("open:s:z", {plain("uno"): 1.5}), 1)
saw("zrange", [list(it) for it in r.zrange("open:s:z", 0, -1, withscores=True)], [[plain("uno"), 1.5]])
saw("sadd", r.sadd("open:s:s", plain("a"), plain("b")), 2)
saw("smembers", set(r.smembers("open:s:s")), {plain("a"), plain("b")})
saw("xadd", r.xadd("open:s:x", {"campo": plain("x")}, id="1-1"), "1-1")
saw("xrange", r.xrange("open:s:x"), [["1-1", {"campo": plain("x")}]])
try:
    r.lpush("open:s:1", "x")
    saw("no error", True, False)
except redis.ResponseError as error:
    saw("error", str(error).split()[0], "WRONGTYPE")

# Many at once.
with r.pipeline(transaction=False) as pipe:
    for i in range(50):
        pipe.set(f"wa:s:p{i}", secret(f"p{i}"), ex=3600).get(f"wa:s:p{i}")
        pipe.set(f"open:s:p{i}", plain(f"p{i}"))
    replies = pipe.execute()
saw("pipeline", replies, [it for i in range(50) for it in (True, secret(f"p{i}"), True)])

# Transactions.
with r.pipeline(transaction=True) as pipe:
    pipe.set("wa:s:t", secret("antes")).get("wa:s:t").incr("rate:t")
    pipe.hgetall("wa:s:h").lrange("wa:s:l", 0, -1)
    saw("transaction", pipe.execute(), [True, secret("antes"), 1, person, [secret("a")]])
with r.pipeline() as pipe:
    pipe.watch("wa:s:t")
    saw("read while watching", pipe.get("wa:s:t"), secret("antes"))
    r.set("wa:s:t", secret("otro"))
    pipe.multi()
    pipe.set("wa:s:t", secret("yo"))
    try:
        saw("no conflict", pipe.execute(), None)
    except redis.WatchError:
        saw("watched and changed", True, True)


def add(pipe):
    current = pipe.get("wa:s:t")
    pipe.multi()
    pipe.set("wa:s:t", current.replace("otro", "yo"))


saw("watched", r.transaction(add, "wa:s:t"), [True])
saw("after", r.get("wa:s:t"), secret("yo"))

# Blocking.
popped = []
blocked = threading.Thread(target=lambda: popped.append(connect().blpop(["wa:s:q", "open:s:q"], 0)))
blocked.start()
while not any(client["cmd"] == "blpop" for client in r.client_list()):
    time.sleep(0.005)
r.rpush("wa:s:q", secret("tarea"))
blocked.join()
saw("blpop", popped, [["wa:s:q", secret("tarea")]])
r.rpush("open:s:q", plain("tarea"))
saw("brpop at once", r.brpop(["wa:s:q", "open:s:q"], 1), ["open:s:q", plain("tarea")])
saw("blpop of nothing", r.blpop(["wa:s:q"], 0.01), None)

# Subscriptions.
listener = r.pubsub()
listener.subscribe("noticias")
listener.psubscribe("av*")
kinds = [listener.get_message(timeout=5)["type"] for _ in range(2)]
saw("subscribed", kinds, ["subscribe", "psubscribe"])
saw("publish", [r.publish("noticias", plain("hola")), r.publish("avisos", plain("adiós"))], [1, 1])
heard = [listener.get_message(timeout=5) for _ in range(2)]
saw("heard", [it["data"] for it in heard], [plain("hola"), plain("adiós")])
listener.unsubscribe()
listener.punsubscribe()
listener.close()

# Another database.
second = connect(db=1)
saw("second database", second.set("wa:s:db1", secret("uno")), True)
saw("not in the first", r.get("wa:s:db1"), None)
saw("second database get", second.get("wa:s:db1"), secret("uno"))

saw("scan", set(r.scan_iter("wa:s:p*", count=7)), {f"wa:s:p{i}" for i in range(50)})
saw("info", r.info("server")["redis_mode"], "standalone")
