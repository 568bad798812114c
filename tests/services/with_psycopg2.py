"""python3-psycopg2 by 200 micro-threads at once. Its C library waits by itself unless it is given a function to wait
with: the one line that a program adds."""
import threading

import crowd

psycopg2 = crowd.need("psycopg2")
import psycopg2.errors
import psycopg2.extras
import psycopg2.pool

psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)

ADDRESS = {"host": "127.0.0.1", "port": crowd.services()["postgresql_port"], "user": "bine", "dbname": "postgres"}


def connected():
    """A connection whose statements are transactions of their own."""
    connection = psycopg2.connect(**ADDRESS)
    connection.autocommit = True
    return connection


def one(connection, statement, *args):
    """The first value of its first row."""
    with connection.cursor() as cursor:
        cursor.execute(statement, args)
        return cursor.fetchone()[0]


def do(connection, statement, *args):
    with connection.cursor() as cursor:
        cursor.execute(statement, args)


def fresh_table(connection):
    do(connection, "drop table if exists crowd")
    do(connection, "create table crowd (id int primary key, word text)")


def test_each_gets_its_own_answers():
    def work(i):
        connection = connected()
        process = one(connection, "select pg_backend_pid()")
        assert one(connection, "select %s || %s", "värde ", str(i)) == f"värde {i}"
        assert one(connection, "select pg_backend_pid()") == process
        connection.close()
        return process
    assert len(set(crowd.crowd(work))) == crowd.COUNT


def test_transactions_of_all():
    main = connected()
    fresh_table(main)

    def work(i):
        connection = psycopg2.connect(**ADDRESS)
        with connection, connection.cursor() as cursor:
            cursor.execute("insert into crowd values (%s, %s)", (i, f"word {i}"))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("insert into crowd values (%s, 'taken back')", (crowd.COUNT + i,))
                cursor.execute("insert into crowd values (%s, 'there already')", (i,))
        except psycopg2.errors.UniqueViolation:
            pass
        else:
            raise AssertionError("two rows with one key")
        connection.close()
    crowd.crowd(work)
    with main.cursor() as cursor:
        cursor.execute("select id, word from crowd order by id")
        assert cursor.fetchall() == [(i, f"word {i}") for i in range(crowd.COUNT)]
    main.close()


def test_all_wait_at_once():
    main = connected()
    do(main, "select pg_advisory_lock(7)")

    def work(i):
        connection = connected()
        do(connection, "select pg_advisory_lock(7)")
        do(connection, "select pg_advisory_unlock(7)")
        connection.close()
        return i
    waiters = crowd.Begun(crowd.crowd, work)
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and objid = 7 and not granted"
    crowd.until(lambda: one(main, waiting) == crowd.COUNT)
    do(main, "select pg_advisory_unlock(7)")
    assert waiters.end() == list(range(crowd.COUNT))
    main.close()


def test_many_rows_come_whole():
    def work(i):
        connection = connected()
        with connection.cursor() as cursor:
            cursor.execute("select n * %s, repeat('x', 100) from generate_series(1, 1000) n", (i,))
            rows = cursor.fetchall()
        connection.close()
        return sum(row[0] for row in rows) == i * 500500 and all(row[1] == "x" * 100 for row in rows)
    assert all(crowd.crowd(work))


def test_a_cursor_on_the_server():
    def work(i):
        connection = psycopg2.connect(**ADDRESS)
        with connection.cursor("rows") as cursor:
            cursor.itersize = 7
            cursor.execute("select generate_series(1, 20)")
            total = sum(row[0] for row in cursor)
        connection.close()
        return total
    assert crowd.crowd(work) == [210] * crowd.COUNT


def test_a_pool_is_shared():
    pool = psycopg2.pool.ThreadedConnectionPool(1, 10, **ADDRESS)

    def work(i):
        connection = pool.getconn()
        try:
            return one(connection, "select %s", i)
        finally:
            pool.putconn(connection)
    assert crowd.crowd(work, 10) == list(range(10))
    pool.closeall()


def test_a_notification_is_waited_for():
    all_listen = threading.Barrier(crowd.COUNT + 1)

    def work(i):
        connection = connected()
        do(connection, "listen news")
        all_listen.wait()
        while not connection.notifies:
            crowd.wait_readable(connection)
            connection.poll()
        heard = connection.notifies[0].payload
        connection.close()
        return heard
    listeners = crowd.Begun(crowd.crowd, work)
    main = connected()
    all_listen.wait()
    do(main, "notify news, 'all of you'")
    assert listeners.end() == ["all of you"] * crowd.COUNT
    main.close()


def test_what_the_callback_cannot_do_is_refused():
    """As documented: COPY and large objects need a connection that waits by itself."""
    import io
    connection = connected()
    fresh_table(connection)
    try:
        with connection.cursor() as cursor:
            cursor.copy_from(io.StringIO("1\tone\n"), "crowd")
    except psycopg2.ProgrammingError:
        pass
    else:
        raise AssertionError("copy_from() has learnt it: tell docs/guide/libraries.md")
    psycopg2.extensions.set_wait_callback(None)
    with connection.cursor() as cursor:
        cursor.copy_from(io.StringIO("1\tone\n"), "crowd")
    assert one(connection, "select word from crowd") == "one"
    connection.close()


if __name__ == "__main__":
    crowd.main(globals())
