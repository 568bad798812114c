/* asyncio on the runtime's loop: its timers, descriptors and calls from other threads come by the host's. */
#include "driven.h"

#include "acts.h"
#include "notes.h"

TEST(async_code_sleeps)
{
    open_driven();
    run_driven("import asyncio, bine\n"
               "async def main():\n"
               "    await asyncio.sleep(0.002)\n"
               "    return 7\n"
               "got = bine.run_async(main())");
    CHECK_EQ(script_int("got"), 7);
    close_driven();
}

TEST(async_streams_talk)
{
    open_driven();
    run_driven("import asyncio, bine, socket\n"
               "async def echo(reader, writer):\n"
               "    while data := await reader.read(1000):\n"
               "        writer.write(data.upper())\n"
               "    writer.close()\n"
               "async def main():\n"
               "    a, b = socket.socketpair()\n"
               "    task = asyncio.create_task(echo(*await asyncio.open_connection(sock=b)))\n"
               "    reader, writer = await asyncio.open_connection(sock=a)\n"
               "    got = b''\n"
               "    for i in range(100):\n"
               "        writer.write(b'ab')\n"
               "        got += await reader.readexactly(2)\n"
               "    writer.close()\n"
               "    await task\n"
               "    return got\n"
               "got = bine.run_async(main())");
    CHECK_EQ(script_int("got == b'AB' * 100"), 1);
    close_driven();
}

TEST(a_thread_calls_async_code_that_waits)
{
    open_driven();
    run_driven("import asyncio, bine\n"
               "async def main():\n"
               "    return [await asyncio.to_thread(sum, range(i)) for i in range(20)]\n"
               "got = bine.run_async(main())");
    CHECK_EQ(script_int("got == [sum(range(i)) for i in range(20)]"), 1);
    close_driven();
}

TEST(async_code_and_micro_threads_wait_for_each_other)
{
    open_driven();
    run_driven("import asyncio, bine\n"
               "def nap(n):\n"
               "    bine.sleep(0.001)\n"
               "    return n\n"
               "async def main(n):\n"
               "    await asyncio.sleep(0.001)\n"
               "    return n + await bine.spawn(nap, n)\n"
               "got = bine.parallel_map(lambda n: bine.run_async(main(n)), range(20))");
    CHECK_EQ(script_int("got == [2 * n for n in range(20)]"), 1);
    close_driven();
}

TEST(the_end_comes_to_async_code)
{
    open_driven();
    start_driven("import asyncio, bine, host\n"
                 "left = []\n"
                 "async def main():\n"
                 "    try:\n"
                 "        host.note('runs')\n"
                 "        await asyncio.sleep(3600)\n"
                 "    finally:\n"
                 "        await asyncio.sleep(0.001)\n"
                 "        left.append(1)\n"
                 "bine.run_async(main())");
    run_until_noted("runs");
    CHECK_OK(bine_shutdown(rt, 10 * SECOND));
    run_until_over();
    CHECK_EQ(script_int("len(left)"), 1);
    close_driven();
}

TEST(a_loop_that_is_held_up_lets_the_host_sleep)
{
    open_driven();
    when_idle(open_door, NULL);
    run_driven("import asyncio, bine, host, os\n"
               "r, w = os.pipe()\n"
               "async def main():\n"
               "    loop = asyncio.get_running_loop()\n"
               "    got = loop.create_future()\n"
               "    loop.add_reader(r, lambda: got.done() or got.set_result(os.read(r, 10)))\n"
               "    os.write(w, b'x')\n"
               "    host.door()\n" /* holds up the loop, which is told that it may read */
               "    data = await got\n"
               "    loop.remove_reader(r)\n"
               "    return data.decode()\n"
               "got = bine.run_async(main())");
    CHECK_STR(script_str("got"), "x");
    close_driven();
}

TEST(clean_up_at_the_end_may_be_async)
{
    open_driven();
    start_driven("import asyncio, bine, host\n"
                 "left = []\n"
                 "async def clean_up():\n"
                 "    left.append(await asyncio.sleep(0.001, 1))\n"
                 "try:\n"
                 "    host.note('runs')\n"
                 "    bine.sleep(3600)\n"
                 "finally:\n"
                 "    with bine.shield(60):\n"
                 "        bine.run_async(clean_up())");
    run_until_noted("runs");
    CHECK_OK(bine_shutdown(rt, 10 * SECOND));
    run_until_over();
    CHECK_EQ(script_int("len(left)"), 1);
    close_driven();
}
