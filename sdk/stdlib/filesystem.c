/* Module os: files by their names, and what is done to them as a whole; names that change: change.c. */
#include "stdlib/filesystem.h"

#include "python/python.h"
#include "stdlib/closing.h"
#include "stdlib/offload.h"
#include "stdlib/path.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BY_POOL "a thread"
#define AT_HAND "a thread, unless the kernel has it at hand"

/* ---- what CPython does on a thread of the pool ---- */

/* Asks: who is cancelled does not wait for the answer. */
static PyObject *ask(const bine__call *call)
{
    return bine__offload_call(call, BINE__FILES, true);
}

/* Changes something: who is cancelled waits all the same, and knows that it has been done. */
static PyObject *change(const bine__call *call)
{
    return bine__offload_call(call, BINE__FILES, false);
}

/* ---- what can be had at once ---- */

/* Where nobody else's descriptors are meant. */
static bool is_plain(const bine__call *call)
{
    return call->kwnames == NULL && call->nargs > 0;
}

/* Whether a call that looks up its first argument alone need not wait. */
static bool need_not_wait(const bine__call *call, bool follow)
{
    PyObject *path = NULL;
    bool at_hand;
    long fd;

    if (!is_plain(call))
        return false;
    if (PyLong_CheckExact(call->args[0])) {
        fd = PyLong_AsLong(call->args[0]);
        PyErr_Clear();
        return fd < 0 || fd > INT_MAX || bine__is_local((int)fd);
    }
    if (!PyUnicode_CheckExact(call->args[0]) && !PyBytes_CheckExact(call->args[0]))
        return false;
    if (!PyUnicode_FSConverter(call->args[0], &path)) {
        PyErr_Clear();
        return true; /* CPython says what is wrong */
    }
    at_hand = bine__is_at_hand(bine__here, PyBytes_AS_STRING(path), follow);
    Py_DECREF(path);
    return at_hand;
}

static PyObject *look_at(const bine__call *call)
{
    return need_not_wait(call, true) ? bine__call_at_once(call) : ask(call);
}

static PyObject *look_at_link(const bine__call *call)
{
    return need_not_wait(call, false) ? bine__call_at_once(call) : ask(call);
}

/* ---- entries of directories ---- */

/* The entry itself knows its path. */
static PyObject *look_at_entry(const bine__call *call, bool follow)
{
    PyObject *path = PyObject_GetAttrString(call->self, "path");
    bine__call about = {.args = &path, .nargs = 1};
    bool at_once = path != NULL && need_not_wait(&about, follow);

    PyErr_Clear();
    Py_XDECREF(path);
    return at_once ? bine__call_at_once(call) : ask(call);
}

static PyObject *entry_stat(const bine__call *call)
{
    return look_at_entry(call, true);
}

/* The directory says what it is, unless it is a link. */
static PyObject *entry_kind(const bine__call *call)
{
    PyObject *is_link = PyObject_CallMethod(call->self, "is_symlink", NULL);
    bool known = is_link == Py_False;

    PyErr_Clear();
    Py_XDECREF(is_link);
    return known ? bine__call_original(call) : look_at_entry(call, true);
}

/* ---- listdir: without the GIL, which CPython would take for each name ---- */

typedef struct listing {
    bine__work work; /* first */
    char *names;     /* each with its 0 */
    size_t size, room, count;
    int error;
    char path[];
} listing;

static void drop_listing(bine__work *work)
{
    listing *l = (listing *)(void *)work;

    free(l->names);
    free(l);
}

static int add_name(listing *l, const char *name)
{
    size_t size = strlen(name) + 1;
    char *names = l->names;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (l->size + size > l->room) {
        l->room = 2 * (l->room + size) + 1000;
        names = realloc(l->names, l->room);
    }
    if (names == NULL)
        return ENOMEM;
    l->names = names;
    memcpy(l->names + l->size, name, size);
    l->size += size;
    l->count++;
    return 0;
}

static void run_listing(bine__work *work)
{
    listing *l = (listing *)(void *)work;
    DIR *dir = opendir(l->path);
    const struct dirent *entry;

    l->error = dir == NULL ? errno : 0;
    while (dir != NULL && l->error == 0) {
        errno = 0;
        entry = readdir(dir);
        l->error = entry == NULL ? errno : add_name(l, entry->d_name);
        if (entry == NULL)
            break;
    }
    if (dir != NULL)
        closedir(dir);
}

static listing *new_listing(const char *path)
{
    size_t size = strlen(path) + 1;
    listing *l = calloc(1, sizeof *l + size);

    if (l == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    l->work = (bine__work){
        .run = run_listing, .drop = drop_listing, .what = "a directory to be listed", .brief = true};
    memcpy(l->path, path, size);
    return l;
}

static PyObject *list_of(const listing *l, bool as_bytes)
{
    PyObject *list = PyList_New((Py_ssize_t)l->count);
    const char *name = l->names;

    for (size_t i = 0; list != NULL && i < l->count; i++) {
        size_t size = strlen(name);
        PyObject *object = as_bytes ? PyBytes_FromStringAndSize(name, (Py_ssize_t)size)
                                    : PyUnicode_DecodeFSDefaultAndSize(name, (Py_ssize_t)size);

        if (object == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, object);
        name += size + 1;
    }
    return list;
}

static PyObject *list_path(PyObject *name, const char *path)
{
    listing *l = new_listing(path);
    int status = l == NULL ? BINE_ENOMEM : bine__offload(bine__here, BINE__FILES, &l->work, BINE__NEVER);
    PyObject *list = NULL;

    if (l == NULL)
        return NULL;
    if (status != BINE_OK)
        return bine__raise_status(bine__here, status, NULL);
    errno = l->error;
    if (l->error == 0)
        list = list_of(l, name != NULL && PyBytes_Check(name));
    else
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
    drop_listing(&l->work);
    return list;
}

static PyObject *os_listdir(const bine__call *call)
{
    PyObject *name = bine__call_argument(call, 0, "path");
    PyObject *path = NULL;
    PyObject *list;

    if (name == Py_None)
        name = NULL;
    if (call->nargs + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames)) >
            (name == NULL ? 0 : 1) ||
        (name != NULL && !PyUnicode_CheckExact(name) && !PyBytes_CheckExact(name)))
        return ask(call);
    if (name != NULL && !PyUnicode_FSConverter(name, &path)) {
        PyErr_Clear();
        return bine__call_original(call);
    }
    if (PySys_Audit("os.listdir", "O", name == NULL ? Py_None : name) != 0)
        list = NULL;
    else
        list = list_path(name, path == NULL ? "." : PyBytes_AS_STRING(path));
    Py_XDECREF(path);
    return list;
}

/* ---- scandir: the iterator reads the directory bit by bit, so a thread reads it before ---- */

static PyObject *os_scandir(const bine__call *call)
{
    PyObject *name = call->nargs == 1 && call->kwnames == NULL ? call->args[0] : NULL;
    PyObject *path = NULL;
    listing *l;
    int status;

    if (name == NULL || !PyUnicode_FSConverter(name, &path)) {
        PyErr_Clear();
        return ask(call);
    }
    l = new_listing(PyBytes_AS_STRING(path));
    Py_DECREF(path);
    if (l == NULL)
        return NULL;
    status = bine__offload(bine__here, BINE__FILES, &l->work, BINE__NEVER);
    if (status != BINE_OK)
        return bine__raise_status(bine__here, status, NULL);
    drop_listing(&l->work);
    return bine__call_original(call);
}

/* ---- what is to be on the disk ---- */

typedef struct syncing {
    bine__work work; /* first */
    int (*sync)(int fd);
    int fd;
    int error;
} syncing;

static void run_syncing(bine__work *work)
{
    syncing *s = (syncing *)(void *)work;

    do
        s->error = s->sync(s->fd) == 0 ? 0 : errno;
    while (s->error == EINTR);
}

static PyObject *sync_with(const bine__call *call, int (*sync)(int fd))
{
    PyObject *object = bine__call_argument(call, 0, "fd");
    syncing s = {.work = {.run = run_syncing, .what = "a file to be on its disk"}, .sync = sync};
    int status;

    if (call->nargs + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames)) != 1 || object == NULL)
        return bine__call_original(call);
    s.fd = PyObject_AsFileDescriptor(object);
    if (s.fd < 0)
        return NULL;
    status = bine__offload(bine__here, BINE__FILES, &s.work, BINE__NEVER);
    if (status != BINE_OK)
        return bine__raise_status(bine__here, status, NULL);
    errno = s.error;
    return s.error == 0 ? Py_NewRef(Py_None) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *os_fsync(const bine__call *call)
{
    return sync_with(call, fsync);
}

static PyObject *os_fdatasync(const bine__call *call)
{
    return sync_with(call, fdatasync);
}

/* ---- os.open ---- */

static bool get_int(PyObject *object, int unset, int *out)
{
    long value = object == NULL ? unset : PyLong_CheckExact(object) ? PyLong_AsLong(object) : -1;

    PyErr_Clear();
    *out = (int)value;
    return value >= 0 && value <= INT_MAX;
}

static PyObject *os_open(const bine__call *call)
{
    PyObject *name = bine__call_argument(call, 0, "path");
    PyObject *dir = bine__call_argument(call, PY_SSIZE_T_MAX, "dir_fd");
    PyObject *path = NULL;
    int flags, mode;
    int fd = -1;

    if (name == NULL || (!PyUnicode_CheckExact(name) && !PyBytes_CheckExact(name)) || call->nargs > 3 ||
        (dir != NULL && dir != Py_None) || !get_int(bine__call_argument(call, 1, "flags"), -1, &flags) ||
        !get_int(bine__call_argument(call, 2, "mode"), 0777, &mode))
        return bine__offload_call(call, BINE__FILES, false);
    if (!PyUnicode_FSConverter(name, &path)) {
        PyErr_Clear();
        return bine__call_original(call);
    }
    if (PySys_Audit("open", "OOi", name, Py_None, flags | O_CLOEXEC) == 0)
        fd = bine__open_file(bine__here, name, PyBytes_AS_STRING(path), flags, (unsigned)mode);
    Py_DECREF(path);
    return fd < 0 ? NULL : PyLong_FromLong(fd);
}

/* ---- closing: on all threads ---- */

static PyObject *os_close(const bine__call *call)
{
    int fd;

    if (!get_int(bine__call_argument(call, 0, "fd"), -1, &fd))
        return bine__call_original(call);
    return bine__close(call, fd);
}

/* An int, negative too. False: CPython is to say what it is. */
static bool get_any_int(PyObject *object, int *out)
{
    int overflow = 1;
    long value = PyLong_CheckExact(object) ? PyLong_AsLongAndOverflow(object, &overflow) : 0;

    *out = (int)value;
    return overflow == 0 && value >= INT_MIN && value <= INT_MAX;
}

/* CPython 3.11 takes an end below 0 for one above all. */
static PyObject *os_closerange(const bine__call *call)
{
    int first, end;

    if (call->nargs != 2 || !get_any_int(call->args[0], &first) || !get_any_int(call->args[1], &end))
        return bine__call_original(call);
    return bine__close_range(call, first < 0 ? 0 : first, end);
}

/* What is put in its own place stays what it is. */
static PyObject *os_dup2(const bine__call *call)
{
    PyObject *onto = bine__call_argument(call, 1, "fd2");
    int from, fd;

    if (!get_int(bine__call_argument(call, 0, "fd"), -1, &from) || !get_int(onto, -1, &fd) || from == fd)
        return bine__call_original(call);
    return bine__close(call, fd);
}

#define ASK(id) BINE__STANDIN(standin_##id, "posix", #id, "os." #id, BY_POOL, ask)
#define CHANGE(id) BINE__STANDIN(standin_##id, "posix", #id, "os." #id, BY_POOL, change)

BINE__STANDIN(standin_stat, "posix", "stat", "os.stat", AT_HAND, look_at);
BINE__STANDIN(standin_lstat, "posix", "lstat", "os.lstat", AT_HAND, look_at_link);
BINE__STANDIN(standin_fstat, "posix", "fstat", "os.fstat", AT_HAND, look_at);
BINE__STANDIN(standin_access, "posix", "access", "os.access", AT_HAND, look_at);
BINE__STANDIN(standin_open, "posix", "open", "os.open", AT_HAND, os_open);
BINE__STANDIN(standin_listdir, "posix", "listdir", "os.listdir", BY_POOL, os_listdir);
BINE__STANDIN(standin_scandir, "posix", "scandir", "os.scandir", BY_POOL, os_scandir);
BINE__STANDIN(standin_entry_stat, "posix", "DirEntry.stat", "os.DirEntry.stat", AT_HAND, entry_stat);
BINE__STANDIN(standin_entry_is_dir, "posix", "DirEntry.is_dir", "os.DirEntry.is_dir", AT_HAND, entry_kind);
BINE__STANDIN(standin_entry_is_file, "posix", "DirEntry.is_file", "os.DirEntry.is_file", AT_HAND, entry_kind);
BINE__STANDIN(standin_fsync, "posix", "fsync", "os.fsync", BY_POOL, os_fsync);
BINE__STANDIN(standin_fdatasync, "posix", "fdatasync", "os.fdatasync", BY_POOL, os_fdatasync);

#define AT_ONCE "at once; who waits for the descriptor has EBADF"

BINE__STANDIN_EVERYWHERE(standin_close, "posix", "close", "os.close", AT_ONCE, os_close);
BINE__STANDIN_EVERYWHERE(standin_closerange, "posix", "closerange", "os.closerange", AT_ONCE, os_closerange);
BINE__STANDIN_EVERYWHERE(standin_dup2, "posix", "dup2", "os.dup2", AT_ONCE, os_dup2);

BINE__STANDIN(standin_fileio_truncate, "_io", "FileIO.truncate", "io.FileIO.truncate", BY_POOL, change);
ASK(fstatvfs);
ASK(getxattr);
ASK(listxattr);
ASK(readlink);
ASK(statvfs);
CHANGE(chdir);
CHANGE(chmod);
CHANGE(chown);
CHANGE(copy_file_range);
CHANGE(fchdir);
CHANGE(fchmod);
CHANGE(fchown);
CHANGE(ftruncate);
CHANGE(lchown);
CHANGE(link);
CHANGE(mkfifo);
CHANGE(mknod);
CHANGE(posix_fallocate);
CHANGE(removexattr);
CHANGE(setxattr);
CHANGE(symlink);
CHANGE(sync);
CHANGE(truncate);
CHANGE(utime);

bine__standin *const bine__filesystem_standins[] = {
    &standin_stat,
    &standin_lstat,
    &standin_fstat,
    &standin_access,
    &standin_open,
    &standin_listdir,
    &standin_scandir,
    &standin_entry_stat,
    &standin_entry_is_dir,
    &standin_entry_is_file,
    &standin_fsync,
    &standin_fdatasync,
    &standin_close,
    &standin_closerange,
    &standin_dup2,
    &standin_fstatvfs,
    &standin_getxattr,
    &standin_listxattr,
    &standin_readlink,
    &standin_statvfs,
    &standin_chdir,
    &standin_chmod,
    &standin_chown,
    &standin_copy_file_range,
    &standin_fchdir,
    &standin_fchmod,
    &standin_fchown,
    &standin_ftruncate,
    &standin_lchown,
    &standin_link,
    &standin_mkfifo,
    &standin_mknod,
    &standin_posix_fallocate,
    &standin_removexattr,
    &standin_setxattr,
    &standin_symlink,
    &standin_sync,
    &standin_truncate,
    &standin_utime,
    &standin_fileio_truncate,
    NULL,
};

static int rehash(PyObject *set)
{
    PyObject *items = PySequence_List(set);
    PyObject *none = NULL;

    if (items != NULL && PySet_Clear(set) == 0)
        none = PyObject_CallMethod(set, "update", "O", items);
    Py_XDECREF(none);
    Py_XDECREF(items);
    return none == NULL ? -1 : 0;
}

int bine__filesystem_rehash(void)
{
    static const char *const names[] = {"supports_dir_fd", "supports_effective_ids", "supports_fd",
                                        "supports_follow_symlinks"};
    PyObject *os = bine__imported("os");
    int status = os == NULL && PyErr_Occurred() ? -1 : 0;

    for (size_t i = 0; os != NULL && status == 0 && i < sizeof names / sizeof *names; i++) {
        PyObject *set = PyObject_GetAttrString(os, names[i]);

        if (set != NULL && PySet_CheckExact(set))
            status = rehash(set);
        else
            PyErr_Clear();
        Py_XDECREF(set);
    }
    return status;
}
