#include "stdlib/transfer.h"

#include "core/sigpipe.h"
#include "python/python.h"
#include "service/pool.h"
#include "stdlib/fair.h"
#include "stdlib/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than this is not copied while the loop waits: some 20 us. */
#define AT_ONCE ((size_t)256 * 1024)

/* So much is mostly moved in less time than it takes to wake a thread for it. */
#define BRIEF ((size_t)16 * 1024)

/* What a terminal or a FIFO takes at least when it is writable. */
#define CHUNK ((size_t)4096)

/* ---- what it is ---- */

static bine__file_kind kind_of_mode(mode_t mode, uint64_t mount)
{
    if (S_ISREG(mode))
        return bine__mount_behind(mount) == BINE__BEHIND_MEMORY ? BINE__MEMORY : BINE__FILE;
    if (S_ISDIR(mode))
        return BINE__MEMORY;
    return S_ISBLK(mode) ? BINE__FILE : BINE__STREAM;
}

bine__file_kind bine__file_kind_of(int fd, uint64_t *mount, uint64_t *size)
{
    struct statx about;

    *mount = 0;
    if (size != NULL)
        *size = 0;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE | BINE__UNIQUE_MOUNT,
              &about) != 0)
        return BINE__FILE;
    if (about.stx_mask & BINE__UNIQUE_MOUNT)
        *mount = about.stx_mnt_id;
    if (size != NULL)
        *size = about.stx_size;
    return kind_of_mode(about.stx_mode, *mount);
}

static void find_kind(bine__transfer *t)
{
    if (t->kind == BINE__UNKNOWN)
        t->kind = bine__file_kind_of(t->fd, &t->mount, NULL);
}

static bool is_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

/* ---- one system call ---- */

static ssize_t call_kernel(const bine__transfer *t, const struct iovec *parts, int count, int flags)
{
    off_t offset = t->offset < 0 ? -1 : (off_t)t->offset + (off_t)t->done;

    if (flags == 0 && t->offset < 0)
        return t->writes ? writev(t->fd, parts, count) : readv(t->fd, parts, count);
    return t->writes ? pwritev2(t->fd, parts, count, offset, flags)
                     : preadv2(t->fd, parts, count, offset, flags);
}

static ssize_t call_parts(const bine__transfer *t, const struct iovec *parts, int count, int flags)
{
    bool held = t->writes && t->kind != BINE__FILE && bine__sigpipe_hold();
    ssize_t moved = call_kernel(t, parts, count, flags);

    if (held)
        bine__sigpipe_release();
    return moved;
}

static size_t left(const bine__transfer *t)
{
    size_t sum = 0;

    for (int i = 0; i < t->count; i++)
        sum += t->parts[i].iov_len;
    return sum;
}

/* At most `most` bytes. */
static ssize_t call_some(const bine__transfer *t, size_t most, int flags)
{
    struct iovec first = t->count > 0 ? t->parts[0] : (struct iovec){0};

    if (left(t) <= most)
        return call_parts(t, t->parts, t->count, flags);
    if (first.iov_len > most)
        first.iov_len = most;
    return call_parts(t, &first, 1, flags);
}

static void advance(bine__transfer *t, size_t moved)
{
    t->done += moved;
    while (t->count > 0 && moved >= t->parts[0].iov_len) {
        moved -= t->parts[0].iov_len;
        t->parts++;
        t->count--;
    }
    if (t->count > 0) {
        t->parts[0].iov_base = (char *)t->parts[0].iov_base + moved;
        t->parts[0].iov_len -= moved;
    }
}

/* ---- outcomes ---- */

/* What has been moved comes first: the next call meets the error again. */
static bine__moved fail(bine__transfer *t, int error)
{
    t->over = true;
    if (t->done > 0)
        return BINE__MOVED;
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return BINE__RAISED;
}

/* It has O_NONBLOCK. */
static bine__moved would_wait(bine__transfer *t)
{
    t->over = true;
    return t->done > 0 ? BINE__MOVED : BINE__WOULD_WAIT;
}

/* Waiting was cut short. */
static bine__moved give_up(bine *rt, bine__transfer *t, int status)
{
    t->over = true;
    if (t->done > 0) {
        PyErr_Clear();
        bine__raise_thrown_soon();
        return BINE__MOVED;
    }
    bine__raise_status(rt, status, NULL);
    return BINE__RAISED;
}

/* ---- by readiness ---- */

int bine__wait_ready(bine *rt, int fd, unsigned events, int *error)
{
    int status = bine_wait_fd(fd, events, -1);

    *error = 0;
    if (status > 0)
        return 0;
    if (status == BINE_EIO) {
        *error = errno;
        PyErr_SetFromErrno(PyExc_OSError);
    } else {
        bine__raise_status(rt, status, NULL);
    }
    return -1;
}

/* False: `*out` says why not. What the loop cannot watch is left to the pool. */
static bool wait_for(bine *rt, bine__transfer *t, bine__moved *out)
{
    int status = bine_wait_fd(t->fd, t->writes ? BINE_WRITABLE : BINE_READABLE, -1);

    *out = BINE__RAISED;
    if (status == BINE_EIO && errno == EPERM) {
        t->kind = BINE__FILE;
        return true;
    }
    if (status == BINE_EIO)
        *out = fail(t, errno);
    else if (status < 0)
        *out = give_up(rt, t, status);
    else if (t->still == NULL || *t->still == t->fd)
        return true;
    else
        *out = fail(t, EBADF);
    return false;
}

static bool is_ready(const bine__transfer *t)
{
    struct pollfd ask = {.fd = t->fd, .events = t->writes ? POLLOUT : POLLIN};

    return poll(&ask, 1, 0) > 0;
}

/* ---- on the pool ---- */

typedef struct deed {
    bine__work work; /* first */
    const bine__transfer *t;
    size_t most;
    ssize_t moved;
    int error;
    bool looks;
    bine__behind behind;
} deed;

static void run_deed(bine__work *work)
{
    deed *d = (deed *)(void *)work;

    do {
        errno = 0;
        d->moved = call_some(d->t, d->most, d->t->flags);
    } while (d->moved < 0 && errno == EINTR);
    d->error = errno;
    if (d->looks)
        d->behind = bine__mount_look(d->t->fd);
}

/* The work is on this stack: it is waited for to its end, so that no byte is read for nobody. */
static bine__moved by_pool(bine *rt, bine__transfer *t, size_t most)
{
    deed d = {.work = {.run = run_deed,
                       .what = t->writes ? "a write to a file" : "a read of a file",
                       .brief = t->kind == BINE__FILE && left(t) <= BRIEF},
              .t = t,
              .most = most,
              .looks = t->mount != 0 && bine__mount_behind(t->mount) == BINE__NOT_KNOWN};
    int status = bine__offload(rt, BINE__FILES, &d.work, BINE__NEVER);

    if (status != BINE_OK)
        return give_up(rt, t, status);
    bine__mount_remember(t->mount, d.behind);
    if (d.moved < 0)
        return fail(t, d.error);
    t->over = !t->writes && (size_t)d.moved < left(t);
    t->at_end = !t->writes && d.moved == 0; /* what is in /proc comes a page at a time */
    advance(t, (size_t)d.moved);
    return BINE__MOVED;
}

/* ---- all of it ---- */

/* It has no RWF_NOWAIT. A terminal or a FIFO that is ready: somebody else may be first, which for reading
 * is a matter of another process; what takes some bytes may not take all, so writes are left to the pool. */
static bine__moved without_nowait(bine *rt, bine__transfer *t)
{
    bine__moved out = BINE__MOVED;
    ssize_t moved;

    find_kind(t);
    while (t->kind == BINE__STREAM && !is_ready(t)) {
        if (is_nonblocking(t->fd))
            return would_wait(t);
        if (!wait_for(rt, t, &out))
            return out;
    }
    if (t->kind == BINE__FILE || (t->kind == BINE__MEMORY && left(t) > AT_ONCE))
        return by_pool(rt, t, SIZE_MAX);
    if (t->kind == BINE__STREAM && t->writes)
        return by_pool(rt, t, CHUNK);
    moved = call_some(t, SIZE_MAX, 0);
    if (moved < 0 && errno == EINTR)
        return PyErr_CheckSignals() == 0 ? BINE__MOVED : BINE__RAISED;
    if (moved < 0)
        return errno == EAGAIN ? would_wait(t) : fail(t, errno);
    t->at_end = !t->writes && moved == 0;
    t->over = !t->writes;
    advance(t, (size_t)moved);
    return BINE__MOVED;
}

static bool lacks_nowait(int error)
{
    return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == EPERM;
}

/* Nothing is there now, and it has RWF_NOWAIT. */
static bine__moved later(bine *rt, bine__transfer *t)
{
    bine__moved out = BINE__MOVED;

    find_kind(t);
    if (t->kind != BINE__STREAM)
        return by_pool(rt, t, SIZE_MAX);
    if (is_nonblocking(t->fd))
        return would_wait(t);
    return wait_for(rt, t, &out) ? BINE__MOVED : out;
}

/* One step on the way: BINE__MOVED, whatever that came to. */
static bine__moved step(bine *rt, bine__transfer *t)
{
    ssize_t moved;

    if (t->flags != 0 || (t->kind == BINE__FILE && t->done >= AT_ONCE))
        return by_pool(rt, t, SIZE_MAX);
    if (t->kind == BINE__MEMORY)
        return without_nowait(rt, t);
    moved = call_some(t, AT_ONCE, RWF_NOWAIT);
    if (moved > 0 || (moved == 0 && t->writes)) {
        advance(t, (size_t)moved);
        return BINE__MOVED;
    }
    if (moved == 0) {
        t->at_end = t->over = true;
        return BINE__MOVED;
    }
    if (errno == EAGAIN)
        return later(rt, t);
    if (lacks_nowait(errno))
        return without_nowait(rt, t);
    return fail(t, errno);
}

/* A pipe gives what it has; a file all that was asked for, up to its end. */
static bool is_enough(bine__transfer *t)
{
    if (t->over || left(t) == 0)
        return true;
    if (t->writes || t->done == 0)
        return false;
    find_kind(t);
    return t->kind == BINE__STREAM;
}

bine__moved bine__transfer_run(bine *rt, bine__transfer *t)
{
    uint64_t turn = rt->ready.out;
    bine__moved out;

    do
        out = step(rt, t);
    while (out == BINE__MOVED && !is_enough(t));
    if (out == BINE__MOVED && rt->ready.out == turn)
        bine__fair(rt);
    return out;
}

PyObject *bine__transfer_bytes(bine *rt, bine__transfer *t, Py_ssize_t size, bine__moved *out)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    struct iovec part = {.iov_base = bytes == NULL ? NULL : PyBytes_AS_STRING(bytes),
                         .iov_len = (size_t)size};

    t->parts = &part;
    t->count = 1;
    *out = bytes == NULL ? BINE__RAISED : bine__transfer_run(rt, t);
    if (*out != BINE__MOVED)
        Py_CLEAR(bytes);
    else if (t->done < (size_t)size)
        _PyBytes_Resize(&bytes, (Py_ssize_t)t->done);
    t->parts = NULL; /* they were here */
    return bytes;
}
