"""asyncio's transports on Bine's loop: TCP, Unix sockets, datagrams, pipes, subprocesses."""
import asyncio
import os
import signal
import socket
import sys
import tempfile

import bine


async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def ask(reader, writer, data):
    writer.write(data)
    answer = await reader.readexactly(len(data))
    writer.close()
    await writer.wait_closed()
    return answer


def test_tcp():
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            answers = await asyncio.gather(*[
                ask(*await asyncio.open_connection("127.0.0.1", port), b"%d" % i * 1000) for i in range(20)])
        return answers
    assert bine.run_async(main()) == [b"%d" % i * 1000 for i in range(20)]


def test_much_at_once():
    data = os.urandom(1 << 20) * 8

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await ask(*await asyncio.open_connection("127.0.0.1", port), data)
    assert bine.run_async(main()) == data


def test_unix_sockets():
    async def main(path):
        async with await asyncio.start_unix_server(echo, path):
            return await ask(*await asyncio.open_unix_connection(path), b"word")
    with tempfile.TemporaryDirectory() as folder:
        assert bine.run_async(main(os.path.join(folder, "s"))) == b"word"


class Notes(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self, end=None):
        self.log = []
        self.end = end or asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.log.append("made")

    def data_received(self, data):
        self.log.append(data)

    def eof_received(self):
        self.log.append("eof")

    def pause_writing(self):
        self.log.append("pause")

    def resume_writing(self):
        self.log.append("resume")

    def connection_lost(self, error):
        self.log.append(error)
        self.end.set_result(None)


async def pair():
    """A socket, and the protocol of a transport over its other end."""
    a, b = socket.socketpair()
    a.setblocking(False)
    _, protocol = await asyncio.get_running_loop().create_connection(Notes, sock=b)
    return a, protocol


def test_a_protocol_hears_of_all():
    async def main():
        a, protocol = await pair()
        a.send(b"one")
        await asyncio.sleep(0.002)
        a.close()
        await protocol.end
        return protocol.log
    assert bine.run_async(main()) == ["made", b"one", "eof", None]


def test_what_is_too_much_for_the_socket_is_sent_later():
    async def main():
        a, protocol = await pair()
        data = bytes(range(256)) * (1 << 13)
        protocol.transport.write(data[:10])
        protocol.transport.write(bytearray(data[10:1000]))
        protocol.transport.write(memoryview(data)[1000:])
        assert protocol.log[-1] == "pause"
        assert protocol.transport.get_write_buffer_size() > 0
        protocol.transport.write(b"end")
        got = b""
        while len(got) < len(data) + 3:
            got += await asyncio.get_running_loop().sock_recv(a, 1 << 20)
        assert got == data + b"end"
        assert protocol.log[-1] == "resume"
        protocol.transport.close()
        await protocol.end
        a.close()
    bine.run_async(main())


def test_a_view_of_wide_items_is_bytes_all_the_same():
    import array

    async def main():
        a, protocol = await pair()
        numbers = array.array("i", range(200000))
        protocol.transport.write(memoryview(numbers).cast("B"))
        protocol.transport.write_eof()
        got = b""
        while data := await asyncio.get_running_loop().sock_recv(a, 1 << 20):
            got += data
        protocol.transport.close()
        await protocol.end
        a.close()
        return got == numbers.tobytes()
    assert bine.run_async(main())


def test_bad_data_is_refused_as_ever():
    async def main():
        a, protocol = await pair()
        for bad in ("text", 5, None):
            try:
                protocol.transport.write(bad)
            except TypeError as error:
                assert type(bad).__name__ in str(error), error
            else:
                raise AssertionError(bad)
        protocol.transport.write(b"")
        protocol.transport.write_eof()
        try:
            protocol.transport.write(b"x")
        except RuntimeError as error:
            assert "write_eof" in str(error)
        protocol.transport.abort()
        await protocol.end
        a.close()
    bine.run_async(main())


def test_what_is_written_after_the_end_goes_nowhere():
    async def main():
        a, protocol = await pair()
        protocol.transport.abort()
        protocol.transport.write(b"after")
        await protocol.end
        assert a.recv(10) == b""
        a.close()
    bine.run_async(main())


def test_a_reset_ends_the_connection():
    async def main():
        a, protocol = await pair()
        a.close()
        for i in range(3):
            protocol.transport.write(b"x" * 1000)
        await protocol.end
        return protocol.log
    assert isinstance(bine.run_async(main())[-1], (BrokenPipeError, ConnectionResetError, type(None)))


def test_an_error_of_the_protocol_ends_the_connection():
    async def main():
        a, protocol = await pair()
        contexts = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: contexts.append(context))
        protocol.data_received = lambda data: 1 / 0
        a.send(b"x")
        await protocol.end
        asyncio.get_running_loop().set_exception_handler(None)
        a.close()
        return contexts[0], protocol.log[-1]
    context, error = bine.run_async(main())
    assert isinstance(error, ZeroDivisionError) and "data_received" in context["message"]


def test_a_buffered_protocol_has_its_own_buffer():
    class Buffered(Notes, asyncio.BufferedProtocol):
        buffer = bytearray(4)

        def get_buffer(self, hint):
            return self.buffer

        def buffer_updated(self, size):
            self.log.append(bytes(self.buffer[:size]))

    async def main():
        a, b = socket.socketpair()
        _, protocol = await asyncio.get_running_loop().create_connection(Buffered, sock=b)
        a.send(b"abcdef")
        a.close()
        await protocol.end
        return protocol.log
    assert bine.run_async(main()) == ["made", b"abcd", b"ef", "eof", None]


def test_reading_pauses():
    async def main():
        a, protocol = await pair()
        protocol.transport.pause_reading()
        a.send(b"x")
        await asyncio.sleep(0.002)
        assert protocol.log == ["made"]
        protocol.transport.resume_reading()
        while len(protocol.log) < 2:
            await asyncio.sleep(0)
        protocol.transport.close()
        await protocol.end
        a.close()
    bine.run_async(main())


def test_datagrams():
    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data.upper(), address)

    async def main():
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Answer, ("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(server.get_extra_info("sockname"))
            await loop.sock_sendall(sock, b"word")
            answer = await loop.sock_recv(sock, 100)
        server.close()
        await asyncio.sleep(0)
        return answer
    assert bine.run_async(main()) == b"WORD"


def test_subprocesses():
    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE,
                                                       stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate(b"word")
        return out, process.returncode
    assert bine.run_async(main()) == (b"word", 0)


def test_several_subprocesses_at_once():
    async def main():
        async def run(i):
            process = await asyncio.create_subprocess_shell(f"exit {i}")
            return await process.wait()
        return await asyncio.gather(*[run(i) for i in range(5)])
    assert bine.run_async(main()) == list(range(5))


def test_signals():
    async def main():
        loop = asyncio.get_running_loop()
        came = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, came.set_result, "came")
        os.kill(os.getpid(), signal.SIGUSR1)
        result = await came
        assert loop.remove_signal_handler(signal.SIGUSR1)
        assert not loop.remove_signal_handler(signal.SIGUSR1)
        return result
    assert bine.run_async(main()) == "came"


def test_names_are_looked_up():
    async def main():
        return await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert bine.run_async(main())[0][4] == ("127.0.0.1", 80)


def test_a_repr_tells_what_is_watched():
    async def main():
        a, protocol = await pair()
        await asyncio.sleep(0)
        text = repr(protocol.transport)
        protocol.transport.close()
        await protocol.end
        a.close()
        return text
    assert "read=polling" in bine.run_async(main())
