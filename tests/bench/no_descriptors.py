"""no_descriptors.py SECONDS: servers that have no descriptor left while clients stand in line, for so long each. Prints the
processor time they take, in per cent, and how late a connection that they have answers meanwhile, in ns."""
import asyncio
import contextlib
import json
import os
import resource
import socket
import socketserver
import sys
import time

import bine

CLIENTS = 50


@contextlib.contextmanager
def no_descriptors_left():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = os.dup(0)
    os.close(used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def answer(connection):
    while data := connection.recv(100):
        connection.sendall(data)


def plain(server):
    """As it is often written."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            continue
        bine.spawn(answer, connection)


def by_socketserver(server):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            answer(self.request)

    class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
        def process_request(self, request, client_address):
            bine.spawn(self.process_request_thread, request, client_address)
    made = Server(server.getsockname(), Handler, bind_and_activate=False)
    made.socket.close()
    made.socket = server
    made.serve_forever()


def by_asyncio(server):
    async def echo(reader, writer):
        try:
            while data := await reader.read(100):
                writer.write(data)
        finally:
            writer.close()

    async def serve():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *args: None)  # each time it says so
        async with await asyncio.start_server(echo, sock=server) as made:
            await made.serve_forever()
    bine.run_async(serve())


def processor_time():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(serve, seconds):
    server = socket.create_server(("127.0.0.1", 0), backlog=2 * CLIENTS)
    serving = bine.spawn(serve, server)
    late = []
    with socket.create_connection(server.getsockname()) as live:
        live.sendall(b"x")
        live.recv(1)
        with contextlib.ExitStack() as clients:
            made = [clients.enter_context(socket.socket()) for _ in range(CLIENTS)]
            with no_descriptors_left():
                for client in made:
                    client.connect(server.getsockname())
                time.sleep(0.1)
                used, begun = processor_time(), time.perf_counter()
                while (now := time.perf_counter()) < begun + seconds:
                    live.sendall(b"x")
                    assert live.recv(1) == b"x"
                    late.append(time.perf_counter() - now)
                    time.sleep(0.01)
                cpu = 100 * (processor_time() - used) / (now - begun)
            made[-1].sendall(b"x")
            assert made[-1].recv(1) == b"x", "the server did not go on"
    serving.cancel()
    with contextlib.suppress(BaseException):
        serving.join()
    server.close()
    return cpu, sorted(late)[len(late) * 99 // 100] * 1e9


def main(seconds):
    figures = {}
    for name, serve in (("accept", plain), ("socketserver", by_socketserver), ("asyncio", by_asyncio)):
        figures[name], figures[f"{name}, p99"] = measure(serve, seconds)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(float(sys.argv[1]))
