/* What a reactor on libuv waits for, in an epoll instance of its own: the watches, a bell for other threads,
 * and the time (timerfd_create(2): the kernel ends a wait of epoll or poll itself late, by up to a thousandth
 * of it, and libuv counts in milliseconds). libuv in turn watches that as one descriptor, or the host does;
 * the kernel knows of a watch at once. libuv ends the process when a descriptor of its own has been closed by
 * somebody; here that is an error, and of a watch goes unnoticed.
 *
 * What has been watched once stays in the instance, and is armed for one event at a time: that costs a third
 * of putting it in and taking it out. What nobody watches any more may be told of once. What is watched by
 * edges is armed once and for all.
 *
 * A descriptor that was closed stays in the instance as long as its file is open under another number, in
 * another process perhaps, and only its own number could take it out. Such strays are known by their serial
 * numbers; when there is much of that, the instance is to be renewed.
 *
 * Owner thread only, but for bine__pollset_ring(). */
#ifndef BINE_REACTOR_POLLSET_H
#define BINE_REACTOR_POLLSET_H

#include "reactor/reactor.h"

#include <stdatomic.h>
#include <stddef.h>

typedef struct bine__pollset {
    int fd;           /* readable when there is anything to tell; -1: none was to be had */
    int timer;        /* or -1 */
    int64_t due;      /* what it is set to, of CLOCK_MONOTONIC; 0: not at all */
    atomic_int bell;  /* an eventfd, or -1 */
    atomic_bool rung; /* since the last bine__pollset_tell() */
    struct bine__polled {
        bine_watch *watch; /* NULL: none, or it has ended */
        uint32_t serial;   /* what was put in under that number is the how manieth */
        bool listed;       /* the kernel has it in the set, unless it has been closed meanwhile */
        bool armed;        /* the kernel is to tell */
    } * by_fd;
    size_t size;
    unsigned strays; /* told of since the instance is there */
} bine__pollset;

/* 0, or a negative errno. */
int bine__pollset_init(bine__pollset *set);

/* As bine__reactor_kind.watch(), watch_edges(). */
int bine__pollset_watch(bine__pollset *set, bine_watch *watch, unsigned events);
int bine__pollset_watch_edges(bine__pollset *set, bine_watch *watch, unsigned events);

/* The set is readable in `ns`, until it was told; negative: no more for that. 0, or a negative errno: then it
 * is not intact. */
int bine__pollset_time(bine__pollset *set, int64_t ns);

/* The set is readable: now, or until it was told. Thread: any, and in a signal handler. */
void bine__pollset_ring(bine__pollset *set);

/* Tells those that are ready, without waiting. */
void bine__pollset_tell(bine__pollset *set);

/* False: it, the bell or the timer has been closed by somebody; the numbers may be other files' by now. */
bool bine__pollset_intact(const bine__pollset *set);

/* True: it tells of what nobody can take out of it. */
bool bine__pollset_strays(const bine__pollset *set);

/* Puts all watches into a new instance, but for those whose descriptor has been closed: they are told. A bell
 * that is intact stays, as another thread may be ringing it; in the child of a fork it is the parent's. 0, or
 * a negative errno; then there is no instance, which is not intact. */
int bine__pollset_renew(bine__pollset *set, bool forked);

/* All watches must be gone. */
void bine__pollset_deinit(bine__pollset *set);

#endif
