/* names COUNT: how long a script's read of a small file takes while COUNT others look up names that no server
 * answers for. Prints one JSON object: ns, of 2,000 reads. */
#include "fixture.h"

#include <dlfcn.h>
#include <netdb.h>
#include <time.h>
#include <unistd.h>

#define SCRIPT                                                                        \
    "import bine, os, socket, sys, tempfile, time\n"                                  \
    "def look_up(i):\n"                                                               \
    "    try: socket.getaddrinfo(f'{i}.hole', 80)\n"                                  \
    "    except (OSError, bine.Cancelled): pass\n"                                    \
    "lookups = [bine.spawn(look_up, i) for i in range(int(sys.argv[1]))]\n"           \
    "with tempfile.NamedTemporaryFile() as file:\n"                                   \
    "    file.write(b'x' * 4096)\n"                                                   \
    "    file.flush()\n"                                                              \
    "    bine.sleep(0.1)\n"                                                           \
    "    times = []\n"                                                                \
    "    for i in range(2000):\n"                                                     \
    "        begin = time.perf_counter_ns()\n"                                        \
    "        with open(file.name, 'rb') as again: assert len(again.read()) == 4096\n" \
    "        times.append(time.perf_counter_ns() - begin)\n"                          \
    "hang = sum(not micro.done for micro in lookups)\n"                               \
    "for micro in lookups: micro.cancel()\n"                                          \
    "times.sort()\n"                                                                  \
    "print('{\"p50\": %d, \"p99\": %d, \"max\": %d, \"hang\": %d}' %\n"               \
    "      (times[1000], times[1980], times[-1], hang))\n"

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*original)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    *(void **)&original = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node != NULL && strstr(node, ".hole") != NULL)
        sleep(30);
    return original(node, service, hints, out);
}

int main(int argc, char **argv)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.argc = argc;
    config.argv = argv;
    CHECK_OK(bine_open(&config, &rt));
    CHECK_OK(bine_run_string(rt, SCRIPT, "names", NULL));
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    CHECK_OK(bine_close(rt));
    return EXIT_SUCCESS;
}
