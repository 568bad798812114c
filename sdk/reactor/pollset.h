/* The watches of a reactor on libuv, in an epoll instance of their own, which libuv in turn watches as one
 * descriptor. libuv ends the process when one that it watches has been closed; here that is an error, or goes
 * unnoticed. The kernel knows of a watch at once. Owner thread only. */
#ifndef BINE_REACTOR_POLLSET_H
#define BINE_REACTOR_POLLSET_H

#include "reactor/reactor.h"

#include <stddef.h>

typedef struct bine__pollset {
    int fd; /* readable when one of them is ready; -1: none was to be had */
    bine_watch **by_fd;
    size_t size;
} bine__pollset;

/* 0, or a negative errno. */
int bine__pollset_init(bine__pollset *set);

/* As bine__reactor_kind.watch(). */
int bine__pollset_watch(bine__pollset *set, bine_watch *watch, unsigned events);

/* Tells those that are ready. False: some that has ended is still in there (its descriptor was closed, and is
 * open under another number), and would be told of for ever: bine__pollset_renew(). */
bool bine__pollset_tell(const bine__pollset *set);

/* Puts all watches into a new instance, but for those whose descriptor has been closed: they are told.
 * 0, or a negative errno. */
int bine__pollset_renew(bine__pollset *set);

/* Whether `fd` is an epoll instance: ours has been closed by somebody if not, and the number perhaps given to
 * another file. */
bool bine__is_epoll(int fd);

/* All watches must be gone. */
void bine__pollset_deinit(bine__pollset *set);

#endif
