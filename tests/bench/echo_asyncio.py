"""echo_asyncio.py LOOP KIND: an echo server in asyncio, until it is ended. LOOP is stock, uvloop or bine (which needs
the command bine), KIND protocol or streams. Prints its port."""
import asyncio
import resource
import sys

loop_kind, kind = sys.argv[1:3]


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    if kind == "protocol":
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=2000)
    else:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
if loop_kind == "bine":
    import bine
    bine.run_async(main())
elif loop_kind == "uvloop":
    import uvloop
    uvloop.install()
    asyncio.run(main())
else:
    asyncio.run(main())
