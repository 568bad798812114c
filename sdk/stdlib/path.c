#include "stdlib/path.h"

#include "python/python.h"
#include "service/pool.h"
#include "stdlib/fair.h"
#include "stdlib/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what there is ---- */

/* With what the kernel has at hand; EAGAIN: it would have to look it up. */
static int open_cached(const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)flags, .resolve = RESOLVE_CACHED};

    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

typedef struct found {
    mode_t mode;
    uint64_t mount;
} found;

static int look(int fd, found *out)
{
    struct statx about;

    *out = (found){0};
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | BINE__UNIQUE_MOUNT, &about) != 0)
        return -1;
    out->mode = about.stx_mode;
    out->mount = about.stx_mask & BINE__UNIQUE_MOUNT ? about.stx_mnt_id : 0;
    return 0;
}

static bool is_local(const found *f)
{
    bine__behind behind = bine__mount_behind(f->mount);

    return behind == BINE__BEHIND_MEMORY || behind == BINE__BEHIND_DISK;
}

bool bine__is_local(int fd)
{
    found f;

    return look(fd, &f) == 0 && is_local(&f);
}

/* False: errno says why not. */
static bool find(const char *path, int flags, found *out)
{
    int fd = open_cached(path, O_PATH | O_CLOEXEC | flags);
    int status = fd < 0 ? -1 : look(fd, out);

    if (fd >= 0)
        close(fd);
    return status == 0;
}

/* The folder that a name is in, in place. False: the name says none. */
static bool strip_name(char *path)
{
    size_t size = strlen(path);

    while (size > 0 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    while (size > 1 && path[size - 1] == '/')
        size--;
    path[size] = '\0';
    return size > 0;
}

typedef struct learning {
    bine__work work; /* first */
    const char *path;
    int flags;
    found what;
    bine__behind behind;
} learning;

static void run_learning(bine__work *work)
{
    learning *l = (learning *)(void *)work;
    int fd = open(l->path, O_PATH | O_CLOEXEC | l->flags);

    if (fd < 0)
        return;
    if (look(fd, &l->what) == 0)
        l->behind = bine__mount_look(fd);
    close(fd);
}

/* What stands behind a mount that was not known. False: the wait was cut short. */
static bool learn(bine *rt, const char *path, int flags)
{
    learning l = {.work = {.run = run_learning, .what = "a file to be found", .brief = true},
                  .path = path,
                  .flags = flags};

    if (bine__offload(rt, BINE__FILES, &l.work, BINE__NEVER) != BINE_OK) {
        PyErr_Clear();
        return false;
    }
    bine__mount_remember(l.what.mount, l.behind);
    return true;
}

static bool is_known_local(bine *rt, const found *f, const char *path, int flags)
{
    if (f->mount != 0 && bine__mount_behind(f->mount) == BINE__NOT_KNOWN && !learn(rt, path, flags))
        return false;
    return is_local(f);
}

/* ---- what there is not ---- */

/* Shortens a path that leads nowhere to the folder in which the next name is not there. False: it is not
 * known which. A link in its place may lead to where nothing is known. */
static bool find_last_folder(char *path, found *out)
{
    bool more = true;

    for (;;) {
        if (find(path, O_NOFOLLOW, out))
            return S_ISDIR(out->mode) || (S_ISLNK(out->mode) && find(path, 0, out));
        if (errno != ENOENT || !more)
            return false;
        more = strip_name(path);
        if (!more)
            memcpy(path, ".", 2);
    }
}

/* Whether a path leads nowhere, and the kernel knows that without asking anybody. */
static bool is_missing(bine *rt, const char *path)
{
    char *folder = *path == '\0' ? NULL : strdup(path);
    found f;
    bool missing = folder != NULL && find_last_folder(folder, &f) && is_known_local(rt, &f, folder, 0);

    free(folder);
    return missing;
}

bool bine__is_at_hand(bine *rt, const char *path, bool follow)
{
    int flags = follow ? 0 : O_NOFOLLOW;
    found f;

    if (!find(path, flags, &f))
        return errno == ENOENT && is_missing(rt, path);
    return is_known_local(rt, &f, path, flags);
}

/* ---- opening at once ---- */

/* -1: not at once, or errno is ENOENT. */
static int open_at_once(bine *rt, const char *path, int flags)
{
    found f;
    bool can = (flags & (O_CREAT | O_TRUNC | O_TMPFILE | O_PATH | O_DIRECT)) == 0;

    if (can && find(path, flags & O_NOFOLLOW, &f))
        can = is_local(&f) && (S_ISREG(f.mode) || S_ISDIR(f.mode));
    else if (can)
        can = errno == ENOENT && is_missing(rt, path);
    errno = EAGAIN;
    return can ? open_cached(path, flags) : -1;
}

/* ---- opening on the pool ---- */

typedef struct opening {
    bine__work work; /* first */
    int flags;
    mode_t mode;
    int fd;
    int error;
    found what; /* when it was opened */
    bine__behind behind;
    bool is_fifo; /* it was not opened */
    char path[];
} opening;

static void drop_opening(bine__work *work)
{
    opening *o = (opening *)(void *)work;

    if (o->fd >= 0)
        close(o->fd);
    free(o);
}

/* A FIFO would keep the thread until somebody opens its other end. */
static bool is_fifo(const opening *o)
{
    struct stat about;

    return (o->flags & (O_NONBLOCK | O_PATH)) == 0 && (o->flags & O_ACCMODE) != O_RDWR &&
           stat(o->path, &about) == 0 && S_ISFIFO(about.st_mode);
}

static void run_opening(bine__work *work)
{
    opening *o = (opening *)(void *)work;

    o->is_fifo = is_fifo(o);
    if (o->is_fifo)
        return;
    do
        o->fd = open(o->path, o->flags, o->mode);
    while (o->fd < 0 && errno == EINTR);
    o->error = errno;
    if (o->fd >= 0 && look(o->fd, &o->what) == 0)
        o->behind = bine__mount_look(o->fd);
}

static opening *new_opening(const char *path, int flags, unsigned mode)
{
    size_t size = strlen(path) + 1;
    opening *o = calloc(1, sizeof *o + size);

    if (o == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    o->work = (bine__work){
        .run = run_opening, .drop = drop_opening, .what = "a file to be opened", .brief = true};
    o->flags = flags;
    o->mode = mode;
    o->fd = -1;
    memcpy(o->path, path, size);
    return o;
}

/* ---- FIFOs ---- */

/* Whether a reader's other end has been opened: there is something to read, or its end; or tee(2), which
 * takes nothing out, would wait. */
static bool has_writer(int fd, int scratch)
{
    struct pollfd ask = {.fd = fd, .events = POLLIN};

    if (poll(&ask, 1, 0) > 0)
        return true;
    return tee(fd, scratch, 1, SPLICE_F_NONBLOCK) < 0 && errno == EAGAIN;
}

#define FIRST_PAUSE_NS 500000
#define LONGEST_PAUSE_NS 16000000

/* Nothing tells that a FIFO's other end is opened, but a thread that waits for just that. 0, or -1 with an
 * exception. */
static int pause_for(bine *rt, int64_t *pause)
{
    int status = bine_sleep_real(*pause);

    if (*pause < LONGEST_PAUSE_NS)
        *pause *= 2;
    if (status == BINE_OK)
        return 0;
    bine__raise_status(rt, status, NULL);
    return -1;
}

static int wait_for_writer(bine *rt, int fd)
{
    int64_t pause = FIRST_PAUSE_NS;
    int scratch[2];
    int status = 0;

    if (pipe2(scratch, O_CLOEXEC) != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    while (status == 0 && !has_writer(fd, scratch[1]))
        status = pause_for(rt, &pause);
    close(scratch[0]);
    close(scratch[1]);
    return status;
}

/* The descriptor, or -1: an exception is set, or errno is. */
static int open_writer(bine *rt, const char *path, int flags)
{
    int64_t pause = FIRST_PAUSE_NS;
    int fd = open(path, flags | O_NONBLOCK);

    while (fd < 0 && errno == ENXIO) {
        if (pause_for(rt, &pause) != 0)
            return -1;
        fd = open(path, flags | O_NONBLOCK);
    }
    return fd;
}

static int open_fifo(bine *rt, const char *path, int flags)
{
    bool writes = (flags & O_ACCMODE) == O_WRONLY;
    int fd = writes ? open_writer(rt, path, flags) : open(path, flags | O_NONBLOCK);

    if (fd < 0)
        return -1;
    if (!writes && wait_for_writer(rt, fd) != 0) {
        close(fd);
        return -1;
    }
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

/* ---- all ---- */

static int refuse(PyObject *name, int error)
{
    if (PyErr_Occurred())
        return -1;
    errno = error;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
    return -1;
}

static int open_by_pool(bine *rt, PyObject *name, const char *path, int flags, unsigned mode)
{
    opening *o = new_opening(path, flags, mode);
    int status = o == NULL ? BINE_ENOMEM : bine__offload(rt, BINE__FILES, &o->work, BINE__NEVER);
    int fd;

    if (o == NULL)
        return -1;
    if (status != BINE_OK) {
        bine__raise_status(rt, status, NULL);
        return -1;
    }
    bine__mount_remember(o->what.mount, o->behind);
    fd = o->is_fifo ? open_fifo(rt, path, flags) : o->fd;
    if (fd < 0)
        (void)refuse(name, o->is_fifo ? errno : o->error);
    free(o);
    return fd;
}

int bine__open_file(bine *rt, PyObject *name, const char *path, int flags, unsigned mode)
{
    int fd = open_at_once(rt, path, flags | O_CLOEXEC);
    int error = fd < 0 ? errno : 0;

    if (fd < 0 && error != ENOENT)
        return open_by_pool(rt, name, path, flags | O_CLOEXEC, mode);
    bine__fair(rt);
    return fd < 0 ? refuse(name, error) : fd;
}
