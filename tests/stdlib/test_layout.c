/* What is known of the layout of CPython's objects holds for this CPython; where it would not, all goes by
 * public calls. */
#include "fixture.h"

#include "stdlib/layout.h"

static const char talks[] = "import bine, socket, errno\n"
                            "got = []\n"
                            "def serve():\n"
                            "    connection, _ = server.accept()\n"
                            "    with connection:\n"
                            "        got.append(connection.recvmsg(10)[0])\n"
                            "        connection.sendall(bytes(3_000_000))\n"
                            "with socket.create_server(('127.0.0.1', 0)) as server:\n"
                            "    serving = bine.spawn(serve)\n"
                            "    bine.pause()\n"
                            "    with socket.socket() as client:\n"
                            "        client.connect(server.getsockname())\n"
                            "        for _ in range(3): bine.pause()\n"
                            "        client.settimeout(100)\n"
                            "        client.sendmsg([b'word'])\n"
                            "        size = 0\n"
                            "        while size < 3_000_000: size += len(client.recv(100_000))\n"
                            "        serving.join()\n"
                            "        got.append(client.recvfrom(10)[0])\n"
                            "        got.append(client.gettimeout())\n"
                            "a, b = socket.socketpair()\n"
                            "a.settimeout(0.01)\n"
                            "for receive in a.recv, a.recvmsg:\n"
                            "    try: receive(1)\n"
                            "    except TimeoutError: got.append('late')\n"
                            "got.append((a.gettimeout(), b.gettimeout()))\n";

static const char polls[] = "import select, socket\n"
                            "a, b = socket.socketpair()\n"
                            "poll = select.poll()\n"
                            "poll.register(a, select.POLLIN)\n"
                            "before = poll.poll(0)\n"
                            "b.send(b'x')\n"
                            "events = poll.poll()\n";

static void check_talks(bine *rt)
{
    run_script(rt, talks);
    CHECK(script_true("got == [b'word', b'', 100.0, 'late', 'late', (0.01, None)]"));
}

TEST(sockets_are_laid_out_as_known)
{
    bine *rt = open_runtime();

    check_talks(rt);
    CHECK_EQ(bine__socket_trust, BINE__AS_KNOWN);
    close_runtime(rt);
}

TEST(sockets_that_are_not_go_by_public_calls)
{
    bine *rt = open_runtime();

    bine__socket_trust = BINE__FOREIGN;
    check_talks(rt);
    close_runtime(rt);
}

TEST(polls_are_laid_out_as_known)
{
    bine *rt = open_runtime();

    run_script(rt, polls);
    CHECK(script_true("before == [] and events == [(a.fileno(), select.POLLIN)]"));
    CHECK_EQ(bine__poll_trust, BINE__AS_KNOWN);
    close_runtime(rt);
}

TEST(polls_that_are_not_are_cpythons)
{
    bine *rt = open_runtime();

    bine__poll_trust = BINE__FOREIGN;
    run_script(rt, polls);
    CHECK(script_true("before == [] and events == [(a.fileno(), select.POLLIN)]"));
    close_runtime(rt);
}
