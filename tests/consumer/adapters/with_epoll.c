#include "host.h"

#include <bine/adapter/epoll.h>

int main(void)
{
    struct epoll_event event;
    int set = epoll_create1(0);
    bine *rt = open_host();

    while (lives(rt))
        must(bine_epoll_wait(rt, set, &event, 1, -1));
    return bine_close(rt);
}
