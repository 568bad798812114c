"""python3-aiohttp, as it stands: its server and its client in coroutines, run by 200 micro-threads at once."""
import asyncio
import ssl

import crowd

aiohttp = crowd.need("aiohttp")
from aiohttp import web

PLACE = crowd.services()
HTTP = f"http://127.0.0.1:{PLACE['nginx_port']}"
HTTPS = f"https://localhost:{PLACE['nginx_tls_port']}"
CERTIFICATE = f"{PLACE['folder']}/certificate.pem"


class Server:
    """One of aiohttp's in a micro-thread of its own, with an event loop of its own."""

    def __init__(self, expected=crowd.COUNT):
        self.expected = expected
        self.asked = 0
        self.address = None
        self.running = crowd.Begun(asyncio.run, self.run())
        crowd.until(lambda: self.address is not None)

    async def run(self):
        self.end_it = asyncio.Event()
        self.all_asked = asyncio.Event()
        app = web.Application()
        app.router.add_get("/echo/{word}", self.echo)
        app.router.add_get("/together/{word}", self.together)
        app.router.add_post("/back", self.back)
        app.router.add_get("/talk", self.talk)
        app.router.add_get("/end", self.end)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1000)
        await site.start()
        self.address = "http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1]
        await self.end_it.wait()
        await runner.cleanup()

    async def echo(self, request):
        return web.Response(text=request.match_info["word"])

    async def together(self, request):
        """Answers nobody before all have asked."""
        self.asked += 1
        if self.asked == self.expected:
            self.all_asked.set()
        await self.all_asked.wait()
        return web.Response(text=request.match_info["word"])

    async def back(self, request):
        return web.Response(body=await request.read())

    async def talk(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data.upper())
        return socket

    async def end(self, request):
        self.end_it.set()
        return web.Response()

    def __enter__(self):
        return self

    def __exit__(self, error, *unused):
        if error is None:
            asyncio.run(text(f"{self.address}/end"))
            self.running.end()


async def text(address):
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 200
        return await answer.text()


def test_each_has_an_event_loop():
    with Server() as server:
        answers = crowd.crowd(lambda i: asyncio.run(text(f"{server.address}/echo/{i}")))
    assert answers == [str(i) for i in range(crowd.COUNT)]


def test_all_wait_at_once():
    with Server() as server:
        answers = crowd.crowd(lambda i: asyncio.run(text(f"{server.address}/together/{i}")))
    assert answers == [str(i) for i in range(crowd.COUNT)]


def test_as_many_tasks_in_one_event_loop():
    async def all_of_them(address):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            async def ask(i):
                async with session.get(f"{address}/together/{i}") as answer:
                    return await answer.text()
            return await asyncio.gather(*(ask(i) for i in range(crowd.COUNT)))
    with Server() as server:
        answers = asyncio.run(all_of_them(server.address))
    assert answers == [str(i) for i in range(crowd.COUNT)]


def test_what_is_sent_comes_back():
    async def send(address, i):
        body = bytes([i]) * 200_000
        async with aiohttp.ClientSession() as session, session.post(f"{address}/back", data=body) as answer:
            return await answer.read() == body
    with Server() as server:
        assert all(crowd.crowd(lambda i: asyncio.run(send(server.address, i))))


def test_they_talk_by_websocket():
    async def talk(address, i):
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/talk") as socket:
            heard = []
            for n in range(5):
                await socket.send_str(f"word {i} {n}")
                heard.append(await socket.receive_str())
            return heard
    with Server() as server:
        answers = crowd.crowd(lambda i: asyncio.run(talk(server.address, i)))
    assert answers == [[f"WORD {i} {n}" for n in range(5)] for i in range(crowd.COUNT)]


def test_nginx_is_asked_by_tls():
    context = ssl.create_default_context(cafile=CERTIFICATE)

    async def ask(i):
        async with aiohttp.ClientSession() as session:
            answers = []
            for _ in range(2):
                async with session.get(f"{HTTPS}/who", params={"name": i}, ssl=context) as answer:
                    answers.append((await answer.text()).split())
        (first, connection, one), (second, same, two) = answers
        assert connection == same and (one, two) == ("1", "2"), "the connection is not kept"
        return int(first), int(second)
    answers = crowd.crowd(lambda i: asyncio.run(ask(i)))
    assert answers == [(i, i) for i in range(crowd.COUNT)]


def test_a_large_answer_comes_whole():
    with open(f"{PLACE['folder']}/www/large", "rb") as file:
        large = file.read()

    async def load():
        async with aiohttp.ClientSession() as session, session.get(f"{HTTP}/large") as answer:
            return await answer.read() == large
    assert all(crowd.crowd(lambda i: asyncio.run(load()), 20))


def test_a_time_limit_ends_a_wait():
    async def ask(address):
        limit = aiohttp.ClientTimeout(total=0.1)
        async with aiohttp.ClientSession(timeout=limit) as session:
            try:
                await session.get(f"{address}/together/never")
            except asyncio.TimeoutError:
                return True
        return False
    with Server(expected=crowd.COUNT + 1) as server:
        assert all(crowd.crowd(lambda i: asyncio.run(ask(server.address))))


if __name__ == "__main__":
    crowd.main(globals())
