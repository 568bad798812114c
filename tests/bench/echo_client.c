/* echo_client PORT CONNECTIONS SECONDS: talks to an echo server on this machine over so many connections,
 * each with one message of 64 bytes under way. Prints one JSON object: requests a second, the time from a
 * request to its answer in microseconds (the first fifth of the time does not count for these), and all
 * requests. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SIZE 64
#define MOST 100000000 /* ns: longer ones count as this */
#define STEP 1000      /* ns */

typedef struct connection {
    int fd;
    size_t got;
    int64_t sent_at;
} connection;

static uint32_t histogram[MOST / STEP + 1];
static uint64_t requests; /* that count */
static uint64_t all_requests;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int open_connection(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void ask(connection *c)
{
    static const char message[SIZE] = "the quick brown fox jumps over the lazy dog, again and again...";

    c->got = 0;
    c->sent_at = now();
    if (send(c->fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
        fail("send");
}

static void count(const connection *c, int64_t at)
{
    int64_t took = at - c->sent_at;

    histogram[took < MOST ? took / STEP : MOST / STEP]++;
    requests++;
}

static void on_ready(connection *c, int64_t begin)
{
    char answer[SIZE];
    ssize_t got = recv(c->fd, answer, SIZE - c->got, MSG_DONTWAIT);
    int64_t at;

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("recv");
    c->got += (size_t)got;
    if (c->got < SIZE)
        return;
    at = now();
    all_requests++;
    if (at >= begin)
        count(c, at);
    ask(c);
}

/* Of the requests, this share took no longer: microseconds. */
static double quantile(double share)
{
    uint64_t below = 0;
    size_t i = 0;

    while (i < MOST / STEP && (double)(below += histogram[i]) < share * (double)requests)
        i++;
    return (double)(i + 1) * STEP / 1000;
}

static void run(int epoll, int64_t begin, int64_t end)
{
    struct epoll_event events[256];

    while (now() < end) {
        int ready = epoll_wait(epoll, events, 256, 1000);

        if (ready == 0)
            fail("no answer for a second");
        for (int i = 0; i < ready; i++)
            on_ready(events[i].data.ptr, begin);
    }
}

static void open_all(int epoll, connection *all, int count, int port)
{
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};

        all[i].fd = open_connection(port);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event) != 0)
            fail("epoll_ctl");
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int connections;
    connection *all;
    int64_t start, length;

    if (argc != 4)
        return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    connections = atoi(argv[2]);
    all = calloc((size_t)connections, sizeof *all);
    if (epoll < 0 || all == NULL)
        fail("start");
    open_all(epoll, all, connections, atoi(argv[1]));
    for (int i = 0; i < connections; i++)
        ask(&all[i]);
    length = (int64_t)(atof(argv[3]) * 1e9);
    start = now();
    run(epoll, start + length / 5, start + length);
    printf("{\"rate\": %.0f, \"p50\": %.0f, \"p99\": %.0f, \"requests\": %llu}\n",
           (double)requests / ((double)length * 0.8e-9), quantile(0.5), quantile(0.99),
           (unsigned long long)all_requests);
    free(all);
    return 0;
}
