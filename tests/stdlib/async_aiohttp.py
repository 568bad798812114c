"""python3-aiohttp, as it stands, on the loop that micro-threads share: server and client. Skipped where it is not
installed."""
import asyncio
import os

import bine

try:
    import aiohttp
    from aiohttp import web
except ImportError:
    os._exit(77)


async def hello(request):
    await asyncio.sleep(0.001)
    return web.json_response({"n": int(request.query["n"])})


class Server:
    def __enter__(self):
        return bine.run_async(self.start())

    async def start(self):
        app = web.Application()
        app.router.add_get("/", hello)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return "http://127.0.0.1:%d/" % self.runner.addresses[0][1]

    def __exit__(self, *unused):
        bine.run_async(self.runner.cleanup())


async def get(session, url, n):
    async with session.get(url, params={"n": n}) as answer:
        return (await answer.json())["n"]


def test_requests_of_one_task_group():
    async def main(url):
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*[get(session, url, n) for n in range(50)])
    with Server() as url:
        assert bine.run_async(main(url)) == list(range(50))


def test_requests_of_many_micro_threads():
    async def open_session():
        return aiohttp.ClientSession()
    with Server() as url:
        session = bine.run_async(open_session())
        got = bine.parallel_map(lambda n: bine.run_async(get(session, url, n)), range(50))
        bine.run_async(session.close())
    assert got == list(range(50))
