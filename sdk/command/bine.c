/* The command bine: runs a script as the main micro-thread on the runtime's own loop, with
 * arguments, exit status and Ctrl-C as python3 has them. A host like any other: it uses the
 * public API alone. */
#include <bine/python.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long the other micro-threads may take to clean up when the main one has failed. */
#define GRACE_NS 2000000000

#define EXIT_USAGE 2

static const char usage[] =
    "usage: bine [--stalls=ms] [-c code | -m module | file | -] [argument ...]\n"
    "\n"
    "Runs a Python script in which every bine.spawn()ed function is a micro-thread.\n"
    "\n"
    "  file          run this script (a folder or .zip/.pyz with __main__.py will do)\n"
    "  -             run what standard input says; also without any argument\n"
    "  -c code       run this code\n"
    "  -m module     run this module as a script\n"
    "  --stalls=ms   tell on standard error who holds all others up for longer, and where\n"
    "  -V, --version print the version and exit\n"
    "  -h, --help    print this and exit\n"
    "\n"
    "It ends when the main script and all that it has spawned have ended. When the main\n"
    "script fails or calls sys.exit(), bine.Exit is raised in the others; so it is in all, with\n"
    "status 1, when they wait for each other and nothing else can end that.\n";

typedef enum source { FROM_STDIN, FROM_FILE, FROM_CODE, FROM_MODULE } source;

typedef struct order {
    source source;
    const char *text; /* the path, the code or the module's name */
    int argc;         /* sys.argv */
    char **argv;
    int64_t stall_ns; /* --stalls; 0: nobody looks */
} order;

static int usage_error(const char *what, const char *option)
{
    fprintf(stderr, "bine: %s %s\nTry 'bine --help'.\n", what, option);
    return EXIT_USAGE;
}

/* Takes --stalls=ms, if that is the first argument. -1: go on; else exit with that. */
static int take_stalls(int *argc, char ***argv, int64_t *stall_ns)
{
    static const char option[] = "--stalls=";
    const char *first = *argc > 1 ? (*argv)[1] : "";
    char *end;
    long ms;

    *stall_ns = 0;
    if (strncmp(first, option, sizeof option - 1) != 0)
        return -1;
    ms = strtol(first + sizeof option - 1, &end, 10);
    if (*end != '\0' || ms < 1 || ms > 1000000)
        return usage_error("milliseconds, from 1 to 1000000, expected:", first);
    *stall_ns = ms * INT64_C(1000000);
    (*argv)[1] = (*argv)[0];
    (*argc)--;
    (*argv)++;
    return -1;
}

/* -1: go on; else exit with that. */
static int parse(int argc, char **argv, order *o)
{
    static char minus_c[] = "-c";
    static char minus_m[] = "-m";
    int64_t stall_ns;
    int status = take_stalls(&argc, &argv, &stall_ns);
    const char *first = argc > 1 ? argv[1] : "-";

    if (status >= 0)
        return status;
    *o = (order){
        .source = FROM_STDIN, .text = "<stdin>", .argc = argc - 1, .argv = argv + 1, .stall_ns = stall_ns};
    if (strcmp(first, "-h") == 0 || strcmp(first, "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(first, "-V") == 0 || strcmp(first, "--version") == 0) {
        printf("bine %s\n", bine_version());
        return EXIT_SUCCESS;
    }
    if (strcmp(first, "-") == 0)
        return -1;
    if (first[0] != '-') {
        o->source = FROM_FILE;
        o->text = first;
        return -1;
    }
    if (strcmp(first, "-c") != 0 && strcmp(first, "-m") != 0)
        return usage_error("unknown option", first);
    if (argc < 3)
        return usage_error("argument expected for", first);
    o->source = first[1] == 'c' ? FROM_CODE : FROM_MODULE;
    o->text = argv[2];
    o->argc = argc - 2;
    o->argv = argv + 2;
    o->argv[0] = first[1] == 'c' ? minus_c : minus_m; /* as python3 has it */
    return -1;
}

/* All of standard input as new text. */
static char *read_stdin(void)
{
    size_t size = 0;
    size_t capacity = 65536;
    char *text = malloc(capacity);

    while (text != NULL) {
        char *grown;

        size += fread(text + size, 1, capacity - size - 1, stdin);
        if (feof(stdin) || ferror(stdin))
            break;
        grown = realloc(text, capacity * 2);
        if (grown == NULL)
            free(text);
        text = grown;
        capacity *= 2;
    }
    if (text != NULL)
        text[size] = '\0';
    return text;
}

/* Whether python3 would look for __main__.py inside. */
static bool is_collection(const char *path)
{
    const char *dot = strrchr(path, '.');
    struct stat info;

    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return true;
    return dot != NULL && (strcmp(dot, ".zip") == 0 || strcmp(dot, ".pyz") == 0);
}

static int run_path(bine *rt, const char *path, bine_micro **out)
{
    bine_value *args = bine_value_list();

    bine_value_append(args, bine_value_str(path));
    bine_value_append(args, bine_value_nil());
    bine_value_append(args, bine_value_str("__main__"));
    return bine_spawn_named(rt, "runpy", "run_path", args, out);
}

static int run_module(bine *rt, const char *module, bine_micro **out)
{
    bine_value *args = bine_value_list();

    bine_value_append(args, bine_value_str(module));
    return bine_spawn_named(rt, "runpy", "_run_module_as_main", args, out);
}

static int start(bine *rt, const order *o, bine_micro **out)
{
    char *text;
    int status;

    switch (o->source) {
    case FROM_FILE:
        return is_collection(o->text) ? run_path(rt, o->text, out) : bine_run_file(rt, o->text, out);
    case FROM_CODE:
        return bine_run_string(rt, o->text, "<string>", out);
    case FROM_MODULE:
        return run_module(rt, o->text, out);
    default:
        text = read_stdin();
        if (text == NULL)
            return BINE_ENOMEM;
        status = bine_run_string(rt, text, "<stdin>", out);
        free(text);
        return status;
    }
}

/* Where imports are searched first; a file's folder is seen to by bine_run_file(). */
static void set_path(bine *rt, const order *o)
{
    char *here = o->source == FROM_MODULE ? getcwd(NULL, 0) : NULL;
    PyObject *path;
    PyObject *entry;

    bine_python_enter(rt);
    path = PySys_GetObject("path");
    entry = PyUnicode_DecodeFSDefault(here != NULL ? here : "");
    if (o->source != FROM_FILE && path != NULL && entry != NULL)
        PyList_Insert(path, 0, entry);
    PyErr_Clear();
    Py_XDECREF(entry);
    bine_python_leave(rt);
    free(here);
}

/* sys.exit(code): what python3 makes of it. */
static int exit_status(PyObject *exit)
{
    PyObject *code = PyObject_GetAttrString(exit, "code");
    int status = EXIT_FAILURE;

    if (code == NULL || code == Py_None)
        status = code == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
    else if (PyLong_Check(code))
        status = (int)PyLong_AsLong(code);
    else {
        PyObject *err = PySys_GetObject("stderr");

        if (err == NULL || PyFile_WriteObject(code, err, Py_PRINT_RAW) != 0 ||
            PyFile_WriteString("\n", err) != 0)
            PyErr_Clear();
    }
    PyErr_Clear();
    Py_XDECREF(code);
    return status;
}

typedef struct verdict {
    int status;
    bool interrupted;
} verdict;

/* How the main script ended. It must have. */
static verdict judge(bine *rt, bine_micro *script)
{
    verdict v = {EXIT_SUCCESS, false};
    PyObject *exception;

    bine_python_enter(rt);
    exception = bine_micro_exception(script);
    if (exception != NULL && PyErr_GivenExceptionMatches(exception, PyExc_SystemExit)) {
        v.status = exit_status(exception);
    } else if (exception != NULL) {
        v.status = EXIT_FAILURE;
        v.interrupted = PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt);
        PyErr_Restore(Py_NewRef(Py_TYPE(exception)), Py_NewRef(exception),
                      PyException_GetTraceback(exception));
        PyErr_Print(); /* by sys.excepthook */
    }
    Py_XDECREF(exception);
    bine_python_leave(rt);
    return v;
}

/* What the others did that nobody joined. */
static void on_unhandled(bine *rt, const bine_error *error, void *user)
{
    bool *interrupted = user;

    (void)rt;
    if (strcmp(error->type, "SystemExit") == 0)
        return; /* as in a thread of python3 */
    if (strcmp(error->type, "KeyboardInterrupt") == 0)
        *interrupted = true;
    bine_error_print(error, stderr);
}

static void on_log(bine *rt, bine_log_level level, const char *line, void *user)
{
    (void)rt;
    (void)level;
    (void)user;
    fprintf(stderr, "bine: %s\n", line);
}

static size_t alive(bine *rt)
{
    bine_stats stats = {.struct_size = sizeof stats};

    return bine_get_stats(rt, &stats) == BINE_OK ? stats.alive : 0;
}

/* True, and says so with every stack, when what lives waits for what cannot come. */
static bool is_deadlock(bine *rt)
{
    bine_value *report;
    bine_idle why;

    if (bine_why_idle(rt, &why, NULL) != BINE_OK || why != BINE_IDLE_DEADLOCK)
        return false;
    fputs("bine: deadlock: nothing is left that could end any of these waits.\n", stderr);
    if (bine_why_idle(rt, &why, &report) == BINE_OK)
        fprintf(stderr, "%s\n", bine_value_as_str(report, NULL));
    bine_value_free(report);
    return true;
}

/* Runs until the main script has ended. False: it never will. */
static bool run_main(bine *rt, bine_micro *script)
{
    bool stuck = false;

    while (bine_micro_get_state(script) != BINE_MICRO_DONE && !stuck) {
        bine_run(rt, BINE_RUN_ONCE);
        stuck = bine_micro_get_state(script) != BINE_MICRO_DONE && is_deadlock(rt);
    }
    return !stuck;
}

/* Runs until the others have ended. False: they never will. */
static bool run_others(bine *rt, const bool *interrupted)
{
    bool stuck = false;
    int alive = 1;

    while (alive > 0 && !*interrupted && !stuck) {
        stuck = is_deadlock(rt);
        alive = stuck ? 0 : bine_run(rt, BINE_RUN_ONCE);
    }
    return !stuck;
}

/* Runs the main script, then, unless it failed, lets the others end. In a deadlock all are told to. */
static verdict run(bine *rt, bine_micro *script, const bool *interrupted)
{
    verdict v = {EXIT_FAILURE, false};
    bool well = false;

    if (run_main(rt, script)) {
        well = bine_micro_status(script) == BINE_OK;
        v = judge(rt, script);
    }
    bine_micro_release(script);
    if (well && !run_others(rt, interrupted))
        v.status = EXIT_FAILURE;
    v.interrupted |= *interrupted;
    return v;
}

/* Ends what still lives. False: something would not end within the grace. */
static bool finish(bine *rt)
{
    struct timespec now;
    struct timespec start;

    clock_gettime(CLOCK_MONOTONIC, &start);
    bine_shutdown(rt, GRACE_NS);
    do {
        bine_run(rt, alive(rt) > 0 ? BINE_RUN_ONCE : BINE_RUN_NOWAIT);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (alive(rt) > 0 && now.tv_sec - start.tv_sec <= GRACE_NS / 1000000000);
    return alive(rt) == 0;
}

static void run_python(bine *rt, const char *code)
{
    bine_python_enter(rt);
    PyRun_SimpleString(code);
    bine_python_leave(rt);
}

/* Python's own threads are waited for, as python3 does: those of pools are told first that there is no more
 * work. */
static void close_runtime(bine *rt)
{
    if (bine_close(rt) != BINE_EBUSY)
        return;
    run_python(rt, "import threading as _t; _t._shutdown()");
    while (bine_close(rt) == BINE_EBUSY)
        run_python(rt, "import threading as _t\n"
                       "for _x in _t.enumerate():\n"
                       "    if _x is not _t.main_thread() and not _x.daemon: _x.join()\n");
}

static int open_runtime(const order *o, bool *interrupted, bine **rt)
{
    bine_config config;

    bine_config_init(&config);
    config.isolated = false;
    config.site_import = true;
    config.install_signal_handlers = true;
    config.executable = access(BINE_PYTHON, X_OK) == 0 ? BINE_PYTHON : NULL;
    config.argc = o->argc;
    config.argv = o->argv;
    config.on_unhandled = on_unhandled;
    config.on_log = on_log;
    config.user = interrupted;
    config.stall_ns = o->stall_ns;
    return bine_open(&config, rt);
}

static int complain(void)
{
    fprintf(stderr, "bine: %s\n", bine_message());
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    bool interrupted = false;
    bine_micro *script;
    verdict v;
    order o;
    bine *rt;
    int status = parse(argc, argv, &o);

    if (status >= 0)
        return status;
    if (open_runtime(&o, &interrupted, &rt) != BINE_OK)
        return complain();
    set_path(rt, &o);
    if (start(rt, &o, &script) != BINE_OK) {
        fprintf(stderr, "bine: can't open '%s': %s\n", o.text, bine_message());
        bine_close(rt);
        return EXIT_USAGE;
    }
    v = run(rt, script, &interrupted);
    if (!finish(rt)) {
        fflush(NULL);
        _exit(v.interrupted ? 128 + SIGINT : v.status); /* its stacks are still in use: leave them be */
    }
    close_runtime(rt);
    if (v.interrupted) {
        signal(SIGINT, SIG_DFL); /* the caller is to see what ended us */
        raise(SIGINT);
    }
    return v.status;
}
