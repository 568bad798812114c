"""python3-redis, as it stands, by 200 micro-threads at once."""
import crowd

redis = crowd.need("redis")
PORT = crowd.services()["redis_port"]


def client():
    """A client with an empty database. Its pool opens a connection for each that works at the same time."""
    connection = redis.Redis(port=PORT)
    connection.flushall()
    return connection


def test_each_gets_its_own_answers():
    shared = client()

    def work(i):
        assert shared.set(f"key {i}", f"värde {i}")
        assert shared.get(f"key {i}") == f"värde {i}".encode()
        assert shared.incr("together") <= crowd.COUNT
        assert shared.getset(f"key {i}", i) == f"värde {i}".encode()
        return int(shared.get(f"key {i}"))
    assert crowd.crowd(work) == list(range(crowd.COUNT))
    assert int(shared.get("together")) == crowd.COUNT


def test_each_with_a_connection_of_its_own():
    def work(i):
        with redis.Redis(port=PORT, single_connection_client=True) as own:
            own.hset("all", f"field {i}", i)
            return own.client_id()
    ids = crowd.crowd(work)
    assert len(set(ids)) == crowd.COUNT
    assert len(client().hgetall("all")) == 0, "client() empties it"


def test_large_values_come_whole():
    shared = client()
    size = 300_000

    def work(i):
        value = bytes([i]) * size
        shared.set(f"large {i}", value)
        return shared.get(f"large {i}") == value and shared.strlen(f"large {i}") == size
    assert all(crowd.crowd(work))


def test_pipelines_keep_to_themselves():
    shared = client()

    def work(i):
        with shared.pipeline() as pipe:
            pipe.multi()
            for n in range(20):
                pipe.incrby("sum", n)
                pipe.rpush(f"list {i}", n)
            pipe.lrange(f"list {i}", 0, -1)
            answers = pipe.execute()
        steps = [after - before for before, after in zip(answers[0:40:2], answers[2:40:2])]
        assert steps == list(range(1, 20)), "others are in between"
        return [int(n) for n in answers[-1]]
    assert crowd.crowd(work) == [list(range(20))] * crowd.COUNT
    assert int(shared.get("sum")) == crowd.COUNT * sum(range(20))


def test_errors_are_the_servers():
    shared = client()
    shared.set("text", "no list")

    def work(i):
        try:
            shared.lpush("text", i)
        except redis.ResponseError as error:
            return str(error)
        return None
    assert set(crowd.crowd(work)) == {"WRONGTYPE Operation against a key holding the wrong kind of value"}


def blocked(shared):
    return shared.info("clients")["blocked_clients"]


def test_all_wait_at_once():
    """Nobody could be waited for by two if the first held up the others."""
    shared = client()
    waiters = crowd.Begun(crowd.crowd, lambda i: shared.blpop([f"list {i}"], timeout=0))
    crowd.until(lambda: blocked(shared) == crowd.COUNT)
    for i in reversed(range(crowd.COUNT)):
        shared.rpush(f"list {i}", i)
    assert waiters.end() == [(f"list {i}".encode(), str(i).encode()) for i in range(crowd.COUNT)]


def test_each_wakes_the_next():
    shared = client()

    def work(i):
        _, value = shared.blpop([f"turn {i}"], timeout=0)
        shared.rpush(f"turn {i + 1}", int(value) + 1)
        return int(value)
    ring = crowd.Begun(crowd.crowd, work)
    crowd.until(lambda: blocked(shared) == crowd.COUNT)
    shared.rpush("turn 0", 1000)
    assert ring.end() == list(range(1000, 1000 + crowd.COUNT))
    assert shared.lpop(f"turn {crowd.COUNT}") == str(1000 + crowd.COUNT).encode()


def test_a_time_limit_ends_a_wait():
    shared = client()
    assert set(crowd.crowd(lambda i: shared.blpop(["never"], timeout=0.05))) == {None}
    slow = redis.Redis(port=PORT, socket_timeout=0.05)
    try:
        slow.blpop(["never"], timeout=0)
    except redis.TimeoutError:
        pass
    else:
        raise AssertionError("the socket's timeout is not kept")


def test_every_subscriber_hears_every_message():
    shared = client()
    messages = [str(n).encode() for n in range(10)]

    def work(i):
        heard = []
        with shared.pubsub(ignore_subscribe_messages=True) as subscription:
            subscription.subscribe("news")
            for message in subscription.listen():
                heard.append(message["data"])
                if len(heard) == len(messages):
                    return heard
    listeners = crowd.Begun(crowd.crowd, work)
    crowd.until(lambda: shared.pubsub_numsub("news") == [(b"news", crowd.COUNT)])
    for message in messages:
        assert shared.publish("news", message) == crowd.COUNT
    assert listeners.end() == [messages] * crowd.COUNT


def test_a_pool_with_few_connections_is_waited_for():
    pool = redis.BlockingConnectionPool(port=PORT, max_connections=5, timeout=None)
    shared = redis.Redis(connection_pool=pool)
    shared.flushall()
    ids = crowd.crowd(lambda i: (shared.incr("count"), shared.client_id())[1])
    assert int(shared.get("count")) == crowd.COUNT
    assert len(set(ids)) <= 5


def test_a_lock_lets_in_one_at_a_time():
    shared = client()
    inside = []

    def work(i):
        with shared.lock("one", sleep=0.001):
            inside.append(i)
            assert len(inside) == 1, inside
            shared.incr("held")
            inside.remove(i)
    crowd.crowd(work, 20)
    assert int(shared.get("held")) == 20


if __name__ == "__main__":
    crowd.main(globals())
