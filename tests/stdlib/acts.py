"""What tests of sockets share: connections, and what they do with the micro-threads beside them."""
import contextlib
import socket

import bine


@contextlib.contextmanager
def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        a = socket.create_connection(server.getsockname())
        b, _ = server.accept()
    with a, b:
        yield a, b


def all_wait():
    """Whoever is ready has turns."""
    for _ in range(10):
        bine.pause()


def later(function, *args):
    """Called when everybody waits."""
    def call():
        all_wait()
        return function(*args)
    return bine.spawn(call)


def read_all(receive, size):
    got = bytearray()
    while len(got) < size:
        data = receive(100_000)
        assert data, f"the end after {len(got)} of {size}"
        got += data
    return bytes(got)


def cancel(micro):
    micro.cancel()
    try:
        micro.join()
    except bine.Cancelled:
        return
    raise AssertionError(f"{micro} was not cancelled")
