"""python3-psycopg (3), as it stands, by 200 micro-threads at once."""
import threading

import crowd

psycopg = crowd.need("psycopg")

ADDRESS = f"host=127.0.0.1 port={crowd.services()['postgresql_port']} user=bine dbname=postgres"


def connected():
    return psycopg.connect(ADDRESS, autocommit=True)


def test_each_gets_its_own_answers():
    def work(i):
        with connected() as connection:
            process = connection.execute("select pg_backend_pid()").fetchone()[0]
            assert process == connection.info.backend_pid
            assert connection.execute("select %s::text || %s", ("värde ", str(i))).fetchone() == (f"värde {i}",)
        return process
    assert len(set(crowd.crowd(work))) == crowd.COUNT


def test_transactions_of_all():
    with connected() as main:
        main.execute("drop table if exists crowd3")
        main.execute("create table crowd3 (id int primary key, word text)")

        def work(i):
            with psycopg.connect(ADDRESS) as connection:
                with connection.transaction():
                    connection.execute("insert into crowd3 values (%s, %s)", (i, f"word {i}"))
                try:
                    with connection.transaction():
                        connection.execute("insert into crowd3 values (%s, 'taken back')", (crowd.COUNT + i,))
                        connection.execute("insert into crowd3 values (%s, 'there already')", (i,))
                except psycopg.errors.UniqueViolation:
                    return
                raise AssertionError("two rows with one key")
        crowd.crowd(work)
        rows = main.execute("select id, word from crowd3 order by id").fetchall()
    assert rows == [(i, f"word {i}") for i in range(crowd.COUNT)]


def test_all_wait_at_once():
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and objid = 8 and not granted"

    def work(i):
        with connected() as connection:
            connection.execute("select pg_advisory_lock(8)")
            connection.execute("select pg_advisory_unlock(8)")
        return i
    with connected() as main:
        main.execute("select pg_advisory_lock(8)")
        waiters = crowd.Begun(crowd.crowd, work)
        crowd.until(lambda: main.execute(waiting).fetchone()[0] == crowd.COUNT)
        main.execute("select pg_advisory_unlock(8)")
        assert waiters.end() == list(range(crowd.COUNT))


def test_rows_are_copied_in_and_out():
    def work(i):
        with psycopg.connect(ADDRESS) as connection, connection.cursor() as cursor:
            cursor.execute("create temporary table mine (n int, word text)")
            with cursor.copy("copy mine from stdin") as copy:
                for n in range(50):
                    copy.write_row((n, f"word {i}"))
            with cursor.copy("copy mine to stdout") as copy:
                rows = [row.decode() for row in map(bytes, copy)]
        return "".join(rows) == "".join(f"{n}\tword {i}\n" for n in range(50))
    assert all(crowd.crowd(work))


def test_notifications_are_waited_for():
    """One that comes while a statement runs is not given to notifies(): all listen before it is sent."""
    all_listen = threading.Barrier(crowd.COUNT + 1)

    def work(i):
        with connected() as connection:
            connection.execute("listen news")
            all_listen.wait()
            return next(connection.notifies()).payload
    listeners = crowd.Begun(crowd.crowd, work)
    with connected() as main:
        all_listen.wait()
        main.execute("notify news, 'all of you'")
    assert listeners.end() == ["all of you"] * crowd.COUNT


if __name__ == "__main__":
    crowd.main(globals())
