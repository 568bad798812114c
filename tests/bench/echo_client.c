/* echo_client PORT CONNECTIONS SECONDS [SIZE]: sends SIZE bytes (1,024) over each connection to 127.0.0.1, waits
 * for them to come back, and does it again. Prints one line: round trips a second, and how long the fastest,
 * the median, the 99th of a hundred and the slowest took, in us. One thread, one epoll. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEPT 4000000 /* times of round trips, at most */

typedef struct connection {
    int fd;
    size_t left; /* bytes that are still to come back */
    int64_t sent;
} connection;

static char *message;
static size_t size = 1024;
static uint32_t *times;
static size_t count;

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void open_connection(connection *c, int port, int epoll)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        fail("epoll_ctl");
}

/* What the socket does not take at once, loopback's buffers being what they are, is an error. */
static void begin(connection *c)
{
    c->sent = now();
    c->left = size;
    if (send(c->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("send");
}

static void go_on(connection *c)
{
    static char buffer[1 << 16];
    ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("recv");
    c->left -= (size_t)got;
    if (c->left > 0)
        return;
    if (count < KEPT)
        times[count++] = (uint32_t)(now() - c->sent);
    begin(c);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void run_until(int epoll, int64_t end)
{
    struct epoll_event events[256];

    while (now() < end) {
        int n = epoll_wait(epoll, events, 256, 100);

        for (int i = 0; i < n; i++)
            go_on(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    int epoll = epoll_create1(0);
    struct rlimit files;
    connection *all;
    double seconds;
    int connections;

    if (argc < 4) {
        fputs("echo_client PORT CONNECTIONS SECONDS [SIZE]\n", stderr);
        return 2;
    }
    connections = atoi(argv[2]);
    seconds = atof(argv[3]);
    if (argc > 4)
        size = (size_t)atol(argv[4]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    message = calloc(1, size);
    times = malloc(KEPT * sizeof *times);
    all = calloc((size_t)connections, sizeof *all);
    if (message == NULL || times == NULL || all == NULL)
        fail("memory");
    for (int i = 0; i < connections; i++)
        open_connection(&all[i], atoi(argv[1]), epoll);
    for (int i = 0; i < connections; i++)
        begin(&all[i]);
    run_until(epoll, now() + 200000000); /* to warm up */
    count = 0;
    run_until(epoll, now() + (int64_t)(seconds * 1e9));
    qsort(times, count, sizeof *times, by_size);
    if (count == 0)
        return 1;
    printf("%.0f /s  min %.1f  median %.1f  p99 %.1f  max %.1f us\n", (double)count / seconds, times[0] / 1e3,
           times[count / 2] / 1e3, times[count * 99 / 100] / 1e3, times[count - 1] / 1e3);
    return 0;
}
