/* Opening and closing: the one interpreter of the process, and the runtime round it. */
#include "core/runtime.h"

#include "core/pyframe.h"
#include "core/sigpipe.h"
#include "reactor/guest.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Thread_local bine *bine__here;

static atomic_bool open_now;  /* one runtime at a time */
static atomic_bool had_start; /* one interpreter start per process */

void bine_config_init(bine_config *config)
{
    *config = (bine_config){
        .struct_size = sizeof *config,
        .stack_class = BINE_STACK_DEFAULT,
        .isolated = true,
        .cooperative_stdlib = true,
        .lookup_timeout_ns = 30000000000,
        .turn_ns = 5000000,
    };
}

int bine__check_owner(const bine *rt, const char *call)
{
    if (rt == NULL)
        return bine__fail(BINE_EINVAL, "%s: the runtime is NULL", call);
    if (atomic_load_explicit(&rt->over, memory_order_relaxed))
        return bine__fail(BINE_ECLOSED, "%s: the runtime is closed", call);
    if (rt != bine__here)
        return bine__fail(BINE_ETHREAD, "%s: only the thread that called bine_open() may call this", call);
    return BINE_OK;
}

void bine__gil_take(bine *rt)
{
    if (rt->gil_depth++ == 0)
        PyEval_RestoreThread(rt->tstate);
}

void bine__gil_give(bine *rt)
{
    if (--rt->gil_depth == 0)
        PyEval_SaveThread();
}

int64_t bine__now(bine *rt)
{
    return bine__gametime_read(&rt->game);
}

int64_t bine__real_now(bine *rt)
{
    return bine__clock_read(&rt->real);
}

static int64_t after(int64_t now, int64_t ns)
{
    return now > BINE__NEVER - 1 - ns ? BINE__NEVER - 1 : now + ns;
}

int64_t bine__deadline(bine *rt, int64_t ns)
{
    return ns < 0 ? BINE__NEVER : after(bine__now(rt), ns);
}

int64_t bine__real_deadline(bine *rt, int64_t ns)
{
    if (rt->real_timers == &rt->timers)
        return bine__deadline(rt, ns);
    return ns < 0 ? BINE__NEVER : after(bine__real_now(rt), ns);
}

void bine__ask_between(bine *rt)
{
    if (rt->asked || rt->reactor == NULL)
        return;
    rt->asked = true;
    rt->reactor->kind->ask(rt->reactor);
}

/* ---- starting the interpreter ---- */

/* As a plug-in, libpython has come in with local symbols, which extension modules then miss. */
static void make_libpython_global(void)
{
    Dl_info info;

    if (dladdr((void *)(uintptr_t)&Py_IsInitialized, &info) != 0 && info.dli_fname != NULL)
        (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

static int status_of(PyStatus status)
{
    if (!PyStatus_Exception(status))
        return BINE_OK;
    return bine__fail(BINE_EPYTHON, "Python did not start: %s",
                      status.err_msg != NULL ? status.err_msg : "exit requested");
}

/* The host's locale is its own business: for isolated scripts, text is UTF-8. */
static PyStatus preinitialize(void)
{
    PyPreConfig pre;

    PyPreConfig_InitIsolatedConfig(&pre);
    pre.utf8_mode = 1;
#if BINE__ASAN
    pre.allocator = PYMEM_ALLOCATOR_MALLOC; /* it sees no object's end in arenas of CPython's own */
#endif
    return Py_PreInitialize(&pre);
}

static int start_python(const bine_config *config)
{
    PyConfig python;
    PyStatus status = PyStatus_Ok();

    if (config->isolated)
        status = preinitialize();
    if (PyStatus_Exception(status))
        return status_of(status);
    if (config->isolated)
        PyConfig_InitIsolatedConfig(&python);
    else
        PyConfig_InitPythonConfig(&python);
    python.parse_argv = 0;
    python.site_import = config->site_import;
    python.install_signal_handlers = config->install_signal_handlers;
    if (config->deterministic) {
        python.use_hash_seed = 1;
        python.hash_seed = (uint32_t)(config->seed ^ (config->seed >> 32));
    }
    if (config->executable != NULL)
        status = PyConfig_SetBytesString(&python, &python.executable, config->executable);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(&python, config->argc, config->argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&python);
    PyConfig_Clear(&python);
    return status_of(status);
}

/* What SIGINT means to Python when the host keeps the signal itself and calls bine_interrupt(). */
static PyObject *raise_interrupt(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    PyErr_SetNone(PyExc_KeyboardInterrupt);
    return NULL;
}

static PyMethodDef raise_interrupt_def = {
    "interrupt", raise_interrupt, METH_VARARGS,
    PyDoc_STR("Raise KeyboardInterrupt: the host has called bine_interrupt().")};

bool bine__is_own_handler(PyObject *handler)
{
    return PyCFunction_Check(handler) && PyCFunction_GET_FUNCTION(handler) == raise_interrupt;
}

/* Module _signal takes SIGINT over when it is first imported, by whatever script. So import it
 * now and put the host's handler back. The handler that Python is left with is one of ours:
 * asyncio replaces signal.default_int_handler, but leaves any other alone. */
static void tame_signal_module(void)
{
    struct sigaction host;
    PyObject *module;
    PyObject *handler = PyCFunction_New(&raise_interrupt_def, NULL);
    PyObject *old = NULL;

    sigaction(SIGINT, NULL, &host);
    module = PyImport_ImportModule("_signal");
    if (module != NULL && handler != NULL)
        old = PyObject_CallMethod(module, "signal", "iO", SIGINT, handler);
    sigaction(SIGINT, &host, NULL);
    PyErr_Clear();
    Py_XDECREF(old);
    Py_XDECREF(handler);
    Py_XDECREF(module);
}

/* Finalisation writes what is left in sys.stdout, and resets signals that Python thinks it handles. */
static int finalize(const bine *rt)
{
    bool held = bine__sigpipe_hold();
    struct sigaction host;
    int status;

    sigaction(SIGINT, NULL, &host);
    status = Py_FinalizeEx();
    if (held)
        bine__sigpipe_release();
    if (!rt->config.install_signal_handlers)
        sigaction(SIGINT, &host, NULL);
    return status;
}

static int add_module_paths(const bine_config *config)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */

    for (size_t i = 0; path != NULL && i < config->module_path_count; i++) {
        PyObject *entry = PyUnicode_DecodeFSDefault(config->module_paths[i]);
        int status = entry == NULL ? -1 : PyList_Insert(path, (Py_ssize_t)i, entry);

        Py_XDECREF(entry);
        if (status != 0) {
            PyErr_Clear();
            return bine__fail(BINE_ENOMEM, "bine_open: out of memory for module_paths");
        }
    }
    return BINE_OK;
}

/* ---- signals while everything waits ---- */

static void on_signal_byte(bine_watch *watch, unsigned events)
{
    bine *rt = (bine *)(void *)((char *)watch - offsetof(bine, signal_watch));
    char bytes[64];
    ssize_t n;

    (void)events;
    do {
        n = read(watch->fd, bytes, sizeof bytes);
        /* A script has named a descriptor of its own for these bytes: it gets them too. */
        if (n > 0 && rt->foreign_wakeup >= 0 && write(rt->foreign_wakeup, bytes, (size_t)n) < 0)
            rt->foreign_wakeup = -1;
    } while (n == (ssize_t)sizeof bytes);
    atomic_store(&rt->interrupted, true);
    bine__ask(rt);
}

void bine__signals_forget(bine *rt)
{
    if (rt->signal_pipe[0] >= 0)
        on_signal_byte(&rt->signal_watch, BINE_READABLE);
    atomic_store(&rt->interrupted, false);
}

/* Where Python's signal handlers write their byte; -1: nowhere. Returns what it was before. */
static int set_wakeup_fd(int fd)
{
    PyObject *module = PyImport_ImportModule("_signal");
    PyObject *set = module == NULL ? NULL : PyObject_GetAttrString(module, "set_wakeup_fd");
    PyObject *args = set == NULL ? NULL : Py_BuildValue("(i)", fd);
    PyObject *kwargs = args == NULL ? NULL : Py_BuildValue("{sO}", "warn_on_full_buffer", Py_False);
    PyObject *old = kwargs == NULL ? NULL : PyObject_Call(set, args, kwargs);
    int before = old == NULL ? -1 : (int)PyLong_AsLong(old);

    PyErr_Clear();
    Py_XDECREF(old);
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(set);
    Py_XDECREF(module);
    return before;
}

void bine__signals_attend(bine *rt)
{
    int before;

    if (rt->signal_pipe[1] < 0 || !rt->config.install_signal_handlers)
        return;
    bine__gil_take(rt);
    before = set_wakeup_fd(rt->signal_pipe[1]);
    rt->foreign_wakeup = before == rt->signal_pipe[1] ? -1 : before;
    bine__gil_give(rt);
}

void bine__signals_release(bine *rt)
{
    if (rt->signal_pipe[1] < 0 || rt->foreign_wakeup < 0)
        return;
    bine__gil_take(rt);
    set_wakeup_fd(rt->foreign_wakeup);
    on_signal_byte(&rt->signal_watch, BINE_READABLE); /* of one that came when the wait was over */
    rt->foreign_wakeup = -1;
    bine__gil_give(rt);
}

/* Python's signal handlers only set a flag; the byte they write here ends the loop's wait. */
static int open_signal_pipe(bine *rt)
{
    struct stat end;
    int status;

    if (pipe2(rt->signal_pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
        rt->signal_pipe[0] = rt->signal_pipe[1] = -1;
        return bine__fail(BINE_EIO, "bine_open: no pipe for signals: %s", strerror(errno));
    }
    rt->signal_inode = fstat(rt->signal_pipe[0], &end) == 0 ? end.st_ino : 0;
    rt->signal_watch = (bine_watch){
        .reactor = rt->reactor, .fd = rt->signal_pipe[0], .ready = on_signal_byte};
    status = bine__watch_set(&rt->signal_watch, BINE_READABLE);
    if (status != 0)
        return bine__fail(status == -ENOMEM ? BINE_ENOMEM : BINE_EIO,
                          "bine_open: the reactor does not watch a pipe: %s", strerror(-status));
    set_wakeup_fd(rt->signal_pipe[1]);
    return BINE_OK;
}

static void close_signal_pipe(bine *rt)
{
    bine__watch_set(&rt->signal_watch, 0);
    for (int i = 0; i < 2; i++) {
        if (rt->signal_pipe[i] >= 0)
            close(rt->signal_pipe[i]);
        rt->signal_pipe[i] = -1;
    }
}

/* Both ends still are what was opened: the numbers may be other files' by now. */
static bool is_signal_pipe(const bine *rt)
{
    struct stat end;

    for (int i = 0; i < 2; i++)
        if (fstat(rt->signal_pipe[i], &end) != 0 || !S_ISFIFO(end.st_mode) || end.st_ino != rt->signal_inode)
            return false;
    return true;
}

static int renew_reactor(bine *rt, bool forked)
{
    int status = rt->reactor->kind->renew(rt->reactor, forked);

    if (status == 0)
        return BINE_OK;
    return bine__fail(BINE_EIO, "the loop's descriptors cannot be opened again: %s", strerror(-status));
}

void bine__descriptors_lost(bine *rt, bool forked)
{
    bool anew = forked || !is_signal_pipe(rt);
    int status;

    if (anew && !forked) { /* before: the watch does not outlive them */
        rt->signal_pipe[0] = rt->signal_pipe[1] = -1;
        close_signal_pipe(rt);
    }
    status = renew_reactor(rt, forked);
    if (anew && status == BINE_OK) {
        close_signal_pipe(rt); /* after: the parent's loop still has its own */
        bine__gil_take(rt);
        status = open_signal_pipe(rt);
        bine__gil_give(rt);
    }
    if (status != BINE_OK && !rt->descriptors_lost)
        bine__log(rt, BINE_LOG_ERROR, "%s; what waits for descriptors waits longer", bine_message());
    rt->descriptors_lost = status != BINE_OK;
}

/* As with threads, the child has only the micro-thread that called fork. When the host did, it has all. */
static void leave_others(bine *rt)
{
    if (rt->current == &rt->host)
        return;
    for (bine__micro *micro = rt->oldest; micro != NULL; micro = micro->newer)
        if (micro != rt->current)
            bine__micro_leave(micro);
    bine__stdlib_forked(rt);
}

/* In the child of os.fork(): it shares the loop's descriptors with its parent, and a thread that is
 * not there any more may hold the inbox. */
static PyObject *after_fork(PyObject *unused, PyObject *args)
{
    (void)unused;
    (void)args;
    if (bine__here != NULL) {
        bine__inbox_renew(bine__here->inbox);
        bine__pool_forked(bine__here);
        bine__offload_forked();
        bine__children_forked(bine__here);
        bine__stalls_forked(bine__here);
        if (bine__here->guest != NULL)
            bine__guest_forget(bine__here->guest);
        bine__here->guest = NULL;
        bine__descriptors_lost(bine__here, true);
        leave_others(bine__here);
    }
    bine__python_forked();
    Py_RETURN_NONE;
}

static PyObject *before_fork(PyObject *unused, PyObject *args)
{
    (void)unused;
    (void)args;
    if (bine__here != NULL)
        bine__pool_before_fork(bine__here);
    Py_RETURN_NONE;
}

static PyMethodDef before_fork_def = {"before_fork", before_fork, METH_NOARGS, NULL};
static PyMethodDef after_fork_def = {"after_fork", after_fork, METH_NOARGS, NULL};

/* `when` is a keyword of os.register_at_fork(). */
static int mind_fork(const char *when, PyMethodDef *def)
{
    PyObject *posix = PyImport_ImportModule("posix");
    PyObject *function = PyCFunction_New(def, NULL);
    PyObject *register_it = posix == NULL ? NULL : PyObject_GetAttrString(posix, "register_at_fork");
    PyObject *none_args = PyTuple_New(0);
    PyObject *kwargs = function == NULL ? NULL : Py_BuildValue("{sO}", when, function);
    PyObject *none = NULL;

    if (register_it != NULL && none_args != NULL && kwargs != NULL)
        none = PyObject_Call(register_it, none_args, kwargs);
    Py_XDECREF(kwargs);
    Py_XDECREF(none_args);
    Py_XDECREF(register_it);
    Py_XDECREF(function);
    Py_XDECREF(posix);
    if (none == NULL) {
        bool no_memory = PyErr_ExceptionMatches(PyExc_MemoryError);

        PyErr_Clear();
        return bine__fail(no_memory ? BINE_ENOMEM : BINE_EPYTHON, "bine_open: os.register_at_fork() failed");
    }
    Py_DECREF(none);
    return BINE_OK;
}

static int mind_forks(void)
{
    int status = mind_fork("before", &before_fork_def);

    return status == BINE_OK ? mind_fork("after_in_child", &after_fork_def) : status;
}

void bine_interrupt(bine *rt)
{
    int before = errno; /* of what the signal came into */

    if (!atomic_load(&open_now))
        return; /* a signal that comes late */
    PyErr_SetInterrupt();
    bine__hurry(rt->tstate);
    atomic_store(&rt->interrupted, true);
    bine__reactor_wake(rt->reactor);
    errno = before;
}

/* ---- open ---- */

static void wake_reactor(void *reactor)
{
    bine__reactor_wake(reactor);
}

/* All but `rt` itself, its closed inbox, and the stacks. */
static void strip_runtime(bine *rt)
{
    if (rt->guest != NULL)
        bine__guest_free(rt->guest);
    rt->guest = NULL;
    bine__descriptors_free(rt);
    close_signal_pipe(rt);
    if (rt->reactor != NULL)
        rt->reactor->kind->free(rt->reactor);
    rt->reactor = NULL;
    bine__timers_deinit(&rt->timers);
    bine__timers_deinit(&rt->on_real);
}

/* Of one that has never been open. */
static void free_runtime(bine *rt)
{
    bine__queue none = {0};

    if (rt->inbox != NULL) {
        bine__inbox_close(rt->inbox, &none);
        bine__inbox_release(rt->inbox);
    }
    strip_runtime(rt);
    bine__stacks_deinit(&rt->stacks);
    bine__stacks_deinit(&rt->large);
    free(rt);
}

/* A process has one runtime in its life: what is left of it stays, so that a late call, on whatever
 * thread, meets a closed runtime and no freed memory. */
static bine *remains;

static void end_runtime(bine *rt)
{
    bine__here = NULL;
    atomic_store(&rt->over, true);
    atomic_store(&open_now, false);
    remains = rt;
    strip_runtime(rt);
}

static size_t stack_size(bine_stack_class class)
{
    switch (class) {
    case BINE_STACK_SMALL:
        return bine__small_stack_size();
    case BINE_STACK_LARGE:
        return BINE__STACK_LARGE_SIZE;
    default:
        return bine__default_stack_size();
    }
}

static void host_stack_bounds(bine *rt)
{
#if BINE__ASAN
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;

    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstack(&attr, &low, &size);
    pthread_attr_destroy(&attr);
    bine__fiber_init(&rt->host_fiber, low, size);
#else
    bine__fiber_init(&rt->host_fiber, NULL, 0);
#endif
}

static void start_clocks(bine *rt, const bine_config *config)
{
    bine_clock usual = config->reactor != NULL ? config->reactor->now : bine__monotonic;
    void *usual_user = config->reactor != NULL ? config->reactor->user : NULL;

    if (config->clock != NULL)
        bine__gametime_start(&rt->game, 1.0, config->clock, config->user);
    else
        bine__gametime_start(&rt->game, config->deterministic ? 0.0 : 1.0, usual, usual_user);
    if (config->budget_clock != NULL)
        bine__clock_start(&rt->real, config->budget_clock, config->user);
    else
        bine__clock_start(&rt->real, usual, usual_user);
    rt->real_timers = config->deterministic ? &rt->timers : &rt->on_real;
}

static bine__reactor *new_reactor(bine *rt, const bine_config *config)
{
    if (config->reactor != NULL)
        return bine__custom_new(config->reactor);
    if (config->uv_loop != NULL)
        return bine__uv_on(config->uv_loop, bine__turn_on_loop, rt);
    return bine__uv_new();
}

/* NULL: errno says why. */
static bine *new_runtime(const bine_config *config)
{
    bine *rt = calloc(1, sizeof *rt);

    if (rt == NULL)
        return NULL;
    rt->config = *config;
    rt->config.module_paths = NULL;
    rt->config.argv = NULL;
    rt->config.executable = NULL;
    rt->config.reactor = NULL; /* its reactor has a copy */
    start_clocks(rt, config);
    rt->signal_pipe[0] = rt->signal_pipe[1] = -1;
    rt->foreign_wakeup = -1;
    rt->host.rt = rt;
    rt->host.no_wait = 1;
    rt->ending.rt = rt;
    rt->ending.no_wait = 1;
    rt->ending.done = true;
    rt->host.recursion_cap = INT_MAX;
    rt->current = &rt->host;
    host_stack_bounds(rt);
    bine__stacks_init(&rt->stacks, stack_size(config->stack_class));
    bine__stacks_init(&rt->large, bine__default_stack_size());
    rt->recursion_cap = bine__recursion_cap(bine__stack_c_size(&rt->stacks));
    atomic_init(&rt->interrupted, false);
    rt->reactor = new_reactor(rt, config);
    if (rt->reactor != NULL)
        rt->inbox = bine__inbox_new(wake_reactor, rt->reactor);
    if (rt->inbox == NULL) {
        int error = errno;

        free_runtime(rt);
        errno = error;
        return NULL;
    }
    return rt;
}

/* With the interpreter up and the GIL held. */
static int open_above(bine *rt, const bine_config *config)
{
    int status;

    if (!config->install_signal_handlers)
        tame_signal_module();
    status = open_signal_pipe(rt);
    if (status == BINE_OK)
        status = mind_forks();
    if (status == BINE_OK)
        status = add_module_paths(config);
    if (status != BINE_OK)
        return status;
    return bine__python_open(rt);
}

static int open_claimed(const bine_config *config, bine **out)
{
    bine *rt;
    int status;

    if (atomic_exchange(&had_start, true))
        return bine__fail(
            BINE_ESTARTED,
            "bine_open: this process has started its interpreter once already; CPython does not "
            "start twice cleanly");
    rt = new_runtime(config);
    if (rt == NULL) {
        status = errno == ENOMEM ? BINE_ENOMEM : BINE_EIO;
        atomic_store(&had_start, false);
        return bine__fail(status, "bine_open: there is no loop: %s", strerror(errno));
    }
    make_libpython_global();
    status = bine__python_register() == 0 ? start_python(config)
                                          : bine__fail(BINE_ENOMEM, "bine_open: out of memory");
    if (status != BINE_OK) {
        free_runtime(rt);
        return status;
    }
    rt->tstate = PyThreadState_Get();
    rt->gil_depth = 1;
    bine__here = rt;
    status = open_above(rt, config);
    if (status != BINE_OK) {
        finalize(rt);
        bine__here = NULL;
        bine__python_closed(rt);
        free_runtime(rt);
        return status;
    }
    bine__gil_give(rt);
    *out = rt;
    return BINE_OK;
}

static int check_loop(const bine_config *config)
{
    const bine_reactor *reactor = config->reactor;

    if (reactor == NULL)
        return BINE_OK;
    if (config->uv_loop != NULL)
        return bine__fail(BINE_EINVAL, "bine_open: there is one loop: uv_loop or reactor, not both");
    if (reactor->struct_size != sizeof *reactor)
        return bine__fail(BINE_EINVAL, "bine_open: the reactor has not gone through bine_reactor_init()");
    if (reactor->now == NULL || reactor->timer == NULL || reactor->watch == NULL || reactor->wake == NULL)
        return bine__fail(BINE_EINVAL, "bine_open: the reactor must have now, timer, watch and wake");
    return BINE_OK;
}

static int check_config(const bine_config *config)
{
    if (config == NULL || config->struct_size != sizeof *config)
        return bine__fail(BINE_EINVAL, "bine_open: the config has not gone through bine_config_init()");
    if (config->stack_class != BINE_STACK_DEFAULT && config->stack_class != BINE_STACK_SMALL &&
        config->stack_class != BINE_STACK_LARGE)
        return bine__fail(BINE_EINVAL, "bine_open: unknown stack_class %d", (int)config->stack_class);
    if (config->argc < 0 || (config->argc > 0 && config->argv == NULL))
        return bine__fail(BINE_EINVAL, "bine_open: argc is %d but argv does not match", config->argc);
    if (config->module_path_count > 0 && config->module_paths == NULL)
        return bine__fail(BINE_EINVAL, "bine_open: module_paths is NULL");
    if (config->turn_ns <= 0)
        return bine__fail(BINE_EINVAL, "bine_open: turn_ns must be positive, not %lld",
                          (long long)config->turn_ns);
    return check_loop(config);
}

int bine_open(const bine_config *config, bine **out)
{
    int status;

    if (out == NULL)
        return bine__fail(BINE_EINVAL, "bine_open: out is NULL");
    *out = NULL;
    status = check_config(config);
    if (status != BINE_OK)
        return status;
    if (atomic_exchange(&open_now, true))
        return bine__fail(BINE_EBUSY, "bine_open: a runtime is open in this process; close it first");
    if (!atomic_load(&had_start) && Py_IsInitialized())
        status = bine__fail(BINE_ESTARTED,
                            "bine_open: the host has started Python itself; leave that to bine_open()");
    else
        status = open_claimed(config, out);
    if (status != BINE_OK)
        atomic_store(&open_now, false);
    return status;
}

/* ---- close ---- */

/* What keeps the runtime from being closed, if anything: BINE_OK, or BINE_EBUSY with a message. */
static int check_closable(bine *rt)
{
    const char *thread;

    if (rt->alive > 0)
        return bine__fail(BINE_EBUSY, "bine_close: %zu micro-threads live; bine_shutdown() and tick first",
                          rt->alive);
    thread = bine__python_living_thread(rt);
    if (thread != NULL)
        return bine__fail(BINE_EBUSY, "bine_close: the Python thread '%s' is running and is no daemon",
                          thread);
    return BINE_OK;
}

static int check_close(const bine *rt, const char *call)
{
    int status = bine__check_owner(rt, call);

    if (status == BINE_OK && (rt->ticking || rt->gil_depth != 0))
        status = bine__fail(BINE_EBUSY, "%s: called from inside a tick", call);
    return status;
}

/* Whether it must not run any more: a micro-thread that has begun. One that has not is dropped. */
static bool stays(bine__job *job)
{
    bine__micro *micro = bine__micro_of(job);

    if (job->run != bine__micro_resume)
        return false;
    micro->pending |= BINE__EXIT;
    return micro->slot != NULL;
}

/* Runs what is ready, but for what stays: nothing does where nothing lives. */
static void run_out(bine *rt)
{
    for (bine__job *job = bine__queue_pop(&rt->ready); job != NULL; job = bine__queue_pop(&rt->ready))
        if (!stays(job))
            job->run(rt, job);
}

/* Nothing is spawned any more. Takes what other threads have brought, and nothing after; reports what
 * nobody took; then has all jobs free what they hold. GIL held. */
static void wind_up(bine *rt)
{
    bine__stalls_close(rt);
    bine__pool_close(rt);
    bine__inbox_close(rt->inbox, &rt->ready);
    bine__python_report_failed(rt);
    bine__deferreds_report(rt);
    rt->closing = true;
    run_out(rt);
    bine__deferreds_end(rt);
    run_out(rt);
}

/* Nothing lives. GIL held. */
static void close_all(bine *rt)
{
    rt->shutting_down = true;
    bine__python_close_generators(rt);
    wind_up(rt);
    bine__python_close(rt);
    if (rt->signal_pipe[1] >= 0)
        set_wakeup_fd(-1);
    if (finalize(rt) != 0)
        bine__log(rt, BINE_LOG_WARNING, "bine_close: Python could not flush its standard output");
    bine__python_closed(rt);
    run_out(rt);
    end_runtime(rt);
    /* Where a generator would not end, its frames stay, and so does what they lie on. */
    if (rt->stacks.in_use == 0 && rt->large.in_use == 0) {
        bine__stacks_deinit(&rt->stacks);
        bine__stacks_deinit(&rt->large);
    }
}

int bine_close(bine *rt)
{
    int status = check_close(rt, "bine_close");

    if (status != BINE_OK)
        return status;
    bine__gil_take(rt);
    status = check_closable(rt);
    if (status == BINE_OK)
        close_all(rt);
    else
        bine__gil_give(rt);
    return status;
}

/* ---- leaving without an end ---- */

/* The GIL is held, and is never given back: no Python thread runs again. */
static void leave_all(bine *rt)
{
    rt->shutting_down = true;
    if (rt->alive > 0)
        bine__python_report_survivors(rt, "is left behind");
    wind_up(rt);
    bine__python_flush();
    if (rt->signal_pipe[1] >= 0)
        set_wakeup_fd(-1);
    end_runtime(rt); /* the stacks stay: objects that nobody will ever look at point there */
}

int bine_close_abandon(bine *rt)
{
    int status = check_close(rt, "bine_close_abandon");

    if (status != BINE_OK)
        return status;
    bine__gil_take(rt);
    if (check_closable(rt) == BINE_OK)
        close_all(rt);
    else
        leave_all(rt);
    return BINE_OK;
}

void *bine_user(const bine *rt)
{
    return rt->config.user;
}

int bine_get_stats(const bine *rt, bine_stats *stats)
{
    int status = bine__check_owner(rt, "bine_get_stats");

    if (status != BINE_OK)
        return status;
    if (stats == NULL || stats->struct_size != sizeof *stats)
        return bine__fail(BINE_EINVAL, "bine_get_stats: stats->struct_size is not set");
    *stats = (bine_stats){
        .struct_size = sizeof *stats,
        .alive = rt->alive,
        .spawned = rt->spawned,
        .jobs = rt->ready.out,
        .timers = rt->timers.count + rt->on_real.count,
        .stacks = rt->stacks.carved,
        .stack_size = rt->stacks.slot_size,
        .deferreds = atomic_load(&rt->inbox->holds) - 1, /* one is the runtime's own */
    };
    return BINE_OK;
}
