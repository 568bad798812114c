"""python3-pymysql, as it stands, with MariaDB, by 200 micro-threads at once."""
import crowd

pymysql = crowd.need("pymysql")
PORT = crowd.services()["mariadb_port"]


def connected():
    return pymysql.connect(host="127.0.0.1", port=PORT, user="bine", password="a secret", database="bine",
                           charset="utf8mb4", autocommit=True)


def rows(connection, statement, *args):
    with connection.cursor() as cursor:
        cursor.execute(statement, args)
        return cursor.fetchall()


def test_each_gets_its_own_answers():
    def work(i):
        with connected() as connection:
            thread = connection.thread_id()
            assert rows(connection, "select concat(%s, %s), connection_id()", "värde ", i) == ((f"värde {i}", thread),)
        return thread
    assert len(set(crowd.crowd(work))) == crowd.COUNT


def test_transactions_of_all():
    with connected() as main:
        rows(main, "drop table if exists crowd")
        rows(main, "create table crowd (id int primary key, word text) engine=innodb")

        def work(i):
            with connected() as connection:
                connection.autocommit(False)
                rows(connection, "insert into crowd values (%s, %s)", i, f"word {i}")
                connection.commit()
                try:
                    rows(connection, "insert into crowd values (%s, 'taken back')", crowd.COUNT + i)
                    rows(connection, "insert into crowd values (%s, 'there already')", i)
                except pymysql.err.IntegrityError as error:
                    connection.rollback()
                    return error.args[0]
        duplicate_key = 1062
        assert crowd.crowd(work) == [duplicate_key] * crowd.COUNT
        found = rows(main, "select id, word from crowd order by id")
    assert found == tuple((i, f"word {i}") for i in range(crowd.COUNT))


def test_all_wait_at_once():
    waiting = "select count(*) from information_schema.processlist where state = 'User lock'"

    def work(i):
        with connected() as connection:
            assert rows(connection, "select get_lock('one', 3600)") == ((1,),)
            return rows(connection, "select release_lock('one')")
    with connected() as main:
        rows(main, "select get_lock('one', 3600)")
        waiters = crowd.Begun(crowd.crowd, work)
        crowd.until(lambda: rows(main, waiting) == ((crowd.COUNT,),))
        rows(main, "select release_lock('one')")
        assert waiters.end() == [((1,),)] * crowd.COUNT


def test_many_rows_come_whole():
    def work(i):
        with connected() as connection:
            found = rows(connection, "select seq * %s, repeat('x', 100) from seq_1_to_500", i)
        return sum(row[0] for row in found) == i * 125250 and all(row[1] == "x" * 100 for row in found)
    assert all(crowd.crowd(work))


def test_rows_that_are_fetched_one_by_one():
    def work(i):
        with connected() as connection, connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute("select seq from seq_1_to_100")
            return sum(row[0] for row in cursor)
    assert crowd.crowd(work) == [5050] * crowd.COUNT


if __name__ == "__main__":
    crowd.main(globals())
