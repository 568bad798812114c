"""python3-requests, as it stands, with nginx, by 200 micro-threads at once: http and https, connections that are kept."""
import contextlib
import os
import socket
import tempfile

import crowd

requests = crowd.need("requests")
import requests.adapters

PLACE = crowd.services()
HTTP = f"http://127.0.0.1:{PLACE['nginx_port']}"
HTTPS = f"https://localhost:{PLACE['nginx_tls_port']}"
CERTIFICATE = f"{PLACE['folder']}/certificate.pem"


def session():
    """One for all, with room for each in its pool."""
    shared = requests.Session()
    shared.trust_env = False  # no proxies
    shared.verify = CERTIFICATE
    for scheme in "http://", "https://":
        shared.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=crowd.COUNT, pool_block=True))
    return shared


def ask(shared, address, i):
    """(who asked, its connection, the how manieth request of that)"""
    answer = shared.get(f"{address}/who", params={"name": f"nr{i}"})
    assert answer.status_code == 200
    name, connection, count = answer.text.split()
    assert name == f"nr{i}"
    return int(connection), int(count)


def each_asks_thrice(address):
    def work(i):
        with session() as own:
            return [ask(own, address, i) for _ in range(3)]
    answers = crowd.crowd(work)
    for first, second, third in answers:
        assert first[0] == second[0] == third[0], "the connection is not kept"
        assert [first[1], second[1], third[1]] == [1, 2, 3]
    assert len({first[0] for first, _, _ in answers}) == crowd.COUNT


def test_connections_are_kept():
    each_asks_thrice(HTTP)


def test_connections_are_kept_by_tls():
    each_asks_thrice(HTTPS)


def test_a_session_is_shared():
    with session() as shared:
        crowd.crowd(lambda i: [ask(shared, HTTPS, i) for _ in range(2)])


def test_few_connections_are_waited_for():
    with session() as shared:
        shared.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=4, pool_block=True))
        connections = {answer[0] for answer in crowd.crowd(lambda i: ask(shared, HTTP, i))}
    assert len(connections) <= 4, connections


def test_it_is_sent_on():
    with session() as shared:
        answers = crowd.crowd(lambda i: shared.get(f"{HTTP}/moved", params={"name": f"nr{i}"}))
    assert [answer.text.split()[0] for answer in answers] == [f"nr{i}" for i in range(crowd.COUNT)]
    assert {len(answer.history) for answer in answers} == {1}


def test_large_answers_come_whole():
    with open(f"{PLACE['folder']}/www/large", "rb") as file:
        large = file.read()

    def work(i):
        with session() as own, own.get(f"{HTTPS if i % 2 else HTTP}/large", stream=True) as answer:
            return b"".join(answer.iter_content(65536)) == large
    assert all(crowd.crowd(work, 20))


def test_an_unknown_certificate_is_refused():
    def work(i):
        with session() as own:
            own.verify = True
            try:
                own.get(f"{HTTPS}/who")
            except requests.exceptions.SSLError:
                return True
        return False
    assert all(crowd.crowd(work, 5))


def test_what_is_not_there():
    with session() as shared:
        assert {answer.status_code for answer in crowd.crowd(lambda i: shared.get(f"{HTTP}/{i}"))} == {404}
        unused = socket.create_server(("127.0.0.1", 0))
        address = "http://127.0.0.1:%d/" % unused.getsockname()[1]
        unused.close()
        try:
            shared.get(address)
        except requests.exceptions.ConnectionError:
            pass
        else:
            raise AssertionError("nobody is there, and it answers")


@contextlib.contextmanager
def upstream():
    """The server that nginx asks for /held/..., which is ours."""
    path = f"{PLACE['folder']}/upstream.sock"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # of a test that has failed
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(crowd.COUNT)
        yield server
    os.unlink(path)


def answer(connection, body):
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    connection.close()


def held_back(server, count):
    """Answers when all `count` have asked, the last one first."""
    asked = []
    for _ in range(count):
        connection, _ = server.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        asked.append((connection, head.split()[1]))
    for connection, wanted in reversed(asked):
        answer(connection, wanted)


def all_wait_at_once(address):
    with upstream() as server, session() as shared:
        holding = crowd.Begun(held_back, server, crowd.COUNT)
        answers = crowd.crowd(lambda i: shared.get(f"{address}/held/{i}"))
        holding.end()
    assert [answer.text for answer in answers] == [f"/held/{i}" for i in range(crowd.COUNT)]


def test_all_wait_at_once():
    all_wait_at_once(HTTP)


def test_all_wait_at_once_by_tls():
    all_wait_at_once(HTTPS)


def test_a_time_limit_ends_a_wait():
    """The upstream takes the connection, and says nothing."""
    def work(i):
        try:
            shared.get(f"{HTTP}/held/{i}", timeout=0.1)
        except requests.exceptions.ReadTimeout:
            return True
        return False
    with upstream(), session() as shared:
        assert all(crowd.crowd(work))


def echo(server, count):
    """Answers with what was sent, one after the other."""
    for _ in range(count):
        connection, _ = server.accept()
        with connection.makefile("rb") as file:
            length = 0
            for line in iter(file.readline, b"\r\n"):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            answer(connection, file.read(length))


def test_files_are_sent():
    """nginx takes the body, and passes it on to one who gives it back."""
    count = 20

    def work(i):
        with session() as own, tempfile.TemporaryFile() as file:
            file.write(bytes([i]) * 500_000)
            file.seek(0)
            return own.post(f"{HTTPS}/held/", data=file).content == bytes([i]) * 500_000
    with upstream() as server:
        echoing = crowd.Begun(echo, server, count)
        assert all(crowd.crowd(work, count))
        echoing.end()


if __name__ == "__main__":
    crowd.main(globals())
