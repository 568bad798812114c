/* The runtime: open it, hand it scripts, give it a turn from your main loop, close it.
 *
 *     bine_config config;
 *     bine *rt;
 *     bine_config_init(&config);
 *     if (bine_open(&config, &rt) != BINE_OK) ...bine_message()...
 *     bine_run_file(rt, "agent.py", NULL);
 *     while (frame())                    // your loop
 *         bine_tick(rt, 2000000, NULL);  // scripts may use 2 ms of this frame
 *     bine_shutdown(rt, SECOND);         // the scripts' finally blocks have a second
 *     for (int i = 0; i < 60 && bine_close(rt) == BINE_EBUSY; i++)
 *         frame(), bine_tick(rt, 2000000, NULL);
 *
 * One runtime is open per process at a time, and a process starts its interpreter once:
 * CPython does not start twice cleanly.
 *
 * The GIL: the runtime holds it inside bine_tick() and bine_run(), so also while the host's
 * tasks and host functions run, and not in between: Python threads that a script started
 * go on while the host draws its frame. */
#ifndef BINE_RUNTIME_H
#define BINE_RUNTIME_H

#include <bine/common.h>
#include <bine/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bine_log_level { BINE_LOG_INFO, BINE_LOG_WARNING, BINE_LOG_ERROR } bine_log_level;

/* How much stack a micro-thread gets. It is address space, not memory: only the pages that a
 * script has touched cost. See docs/guide/stacks.md for what each bears. */
typedef enum bine_stack_class {
    BINE_STACK_DEFAULT, /* 8 MiB: what fits the main thread of python3 fits here */
    BINE_STACK_SMALL,   /* 128 KiB (3.13: 256): 100,000 micro-threads of shallow scripts, below 5 KiB each */
    BINE_STACK_LARGE    /* 64 MiB: recursion as deep as CPython itself allows, on 3.11 25,000 calls */
} bine_stack_class;

/* Called on the owner thread. `error` is borrowed for the call. Must not tick or close. */
typedef void (*bine_on_unhandled)(bine *rt, const bine_error *error, void *user);

/* Called on the owner thread; `line` has no newline and is borrowed for the call. */
typedef void (*bine_on_log)(bine *rt, bine_log_level level, const char *line, void *user);

/* Nanoseconds on a clock. Where it goes back it is taken to stand still; where it leaps ahead, that is time
 * passed. Called on the owner thread. */
typedef int64_t (*bine_clock)(void *user);

struct uv_loop_s; /* libuv's uv_loop_t */

typedef struct bine_config {
    size_t struct_size; /* set by bine_config_init() */

    /* Script errors that nobody joined. NULL: they go to on_log as text. */
    bine_on_unhandled on_unhandled;
    /* Where the runtime says what it has to say. NULL: nowhere. */
    bine_on_log on_log;
    /* What game time is made of, see bine_set_time_scale(): the clock of bine.sleep() and of timeouts. */
    bine_clock clock; /* NULL: the reactor's, CLOCK_MONOTONIC where that is libuv */
    /* Real time: tick budgets, bine_tick_info, bine.sleep(real=True), how long a descriptor is waited for,
     * shields and the grace of bine_shutdown(). */
    bine_clock budget_clock; /* NULL: as above */
    void *user;              /* handed to the four above; borrowed */

    bine_stack_class stack_class;

    /* Whose loop, see docs/guide/loops.md. At most one of the two; neither: a libuv loop of the runtime's
     * own, for bine_run(), bine_tick(), bine_poll_fd() and guest mode. */
    struct uv_loop_s *uv_loop;   /* the host's, of this thread: the runtime takes its turns on it by itself,
                                    when the host runs it. Borrowed; bine_close() closes the handles it has
                                    there, which libuv finishes when the loop is next run */
    const bine_reactor *reactor; /* the host's of another kind; copied */
    bool cooperative_stdlib; /* what blocks in Python's own modules suspends the micro-thread that calls it,
                                and nobody else: docs/guide/blocking.md. True. False: a host that does not
                                ignore SIGPIPE can be ended by what a script writes */
    /* What holds the loop for longer than this, of real time, is told to on_log (BINE_LOG_WARNING): the
     * micro-thread, the script's line, how long: docs/guide/stalls.md. 0: nobody looks */
    int64_t stall_ns;
    /* How long a name server may be waited for, of real time; a lookup that takes longer fails as when none
     * answers. Negative: as long as the C library does. 30 s */
    int64_t lookup_timeout_ns;
    int64_t turn_ns; /* how long a turn of bine_run(), or on uv_loop, may last before the loop is looked
                        at again: 5 ms */

    /* The same seed, the same order, the same result, tick by tick: game time moves by bine_step_time() alone
     * (or as `clock` says), a tick's budget counts a job as 1,000 ns whatever it takes, real time and frames
     * of bine_run() go by game time, and hashes of strings and the functions of module random start from the
     * seed. Not covered is what comes from elsewhere: other threads, descriptors, module time, os.urandom()
     * and what stands on it (secrets, uuid, a random.Random() without a seed), the addresses of objects
     * (id(), so the order of a set of plain objects), the environment. bine_tick_info tells of times as ever.
     */
    bool deterministic;
    uint64_t seed;

    /* Python. */
    bool isolated;                /* true: no PYTHON* variables, no user site-packages */
    bool site_import;             /* false: like `python3 -S`, no site-packages */
    bool install_signal_handlers; /* false: true is for programs that are an interpreter */
    const char
        *executable;                 /* sys.executable, a python3 that child processes may use, by whose place
                                        Python also finds its library; NULL: none, and as libpython was built; copied */
    const char *const *module_paths; /* searched before Python's own; copied */
    size_t module_path_count;
    int argc; /* sys.argv; copied */
    char *const *argv;
} bine_config;

/* Sets every default. Thread: any. */
BINE_API void bine_config_init(bine_config *config);

/* Starts the interpreter and the runtime; the calling thread becomes the owner. Release *out with
 * bine_close(). BINE_EBUSY: one is open. BINE_ESTARTED: one was, or the host has started Python.
 * BINE_EPYTHON: the interpreter did not start. BINE_EINVAL: the config. BINE_EIO: no descriptors.
 * BINE_ENOMEM. Thread: any. */
BINE_API int bine_open(const bine_config *config, bine **out);

/* Starts a script as a micro-thread. Nothing of it runs before the next tick, not even its
 * syntax check. The first script of a runtime is the module __main__; later ones have a
 * namespace of their own under that name. The folder of a file is searched for its imports.
 *
 * `out` may be NULL; else release *out with bine_micro_release(). `name` stands in tracebacks.
 * BINE_ECLOSED: shutting down. BINE_EIO: the file cannot be read. BINE_EINVAL: a text is NULL.
 * BINE_ESCRIPT: a text is none in the file system's encoding. BINE_ENOMEM. Thread: owner. */
BINE_API int bine_run_file(bine *rt, const char *path, bine_micro **out);
BINE_API int bine_run_string(bine *rt, const char *source, const char *name, bine_micro **out);

/* What a tick did. */
typedef struct bine_tick_info {
    size_t struct_size; /* set it to sizeof(bine_tick_info) */
    uint64_t jobs;      /* micro-threads resumed and callbacks run */
    size_t ready;       /* jobs left for the next tick, in their order */
    size_t alive;       /* micro-threads that have not ended */
    int64_t elapsed_ns; /* how long the tick took, on the budget clock */
    int64_t overrun_ns; /* how far beyond its budget; 0: within, or the budget was negative */
    int64_t
        next_wake_ns; /* until a turn is wanted, if nothing comes from outside; -1: none; 0: jobs are ready */
    int64_t longest_ns;       /* the longest of the jobs */
    const char *longest_name; /* whose it was: a micro-thread's name, cut at 63 bytes; "" for a callback or
                                 when no job ran. Valid until the next tick */
} bine_tick_info;

/* Gives the scripts a turn: takes in what other threads sent and what is due, then runs the
 * jobs that are ready, in their order, until none is left or `budget_ns`, from the call on, is used up. At
 * least one job runs; a job is not cut short, so a script that does not wait overruns.
 * A negative budget runs just the batch that was ready at the start, however long it takes.
 *
 * A frame begins with it, see bine_next_frame(). Never blocks. `info` may be NULL. BINE_EBUSY: called from
 * inside a tick, or between bine_python_enter() and _leave(). BINE_EINVAL: info->struct_size is not set.
 * Thread: owner. */
BINE_API int bine_tick(bine *rt, int64_t budget_ns, bine_tick_info *info);

typedef enum bine_run_mode {
    BINE_RUN_DEFAULT, /* until no micro-thread lives and no job is left */
    BINE_RUN_ONCE,    /* one turn, waiting for something to do if there is nothing */
    BINE_RUN_NOWAIT   /* one turn, without waiting */
} bine_run_mode;

/* Drives the runtime on its own loop. Returns 0 when all is done, 1 when something lives
 * on (once, no-wait), or an error. Without waiting it is also the turn that a loop of another kind gives, on
 * demand and not by frames. BINE_EBUSY: as bine_tick(). BINE_EINVAL: the mode. BINE_ENOTSUP: it would have to
 * wait on a loop that is the host's. Thread: owner. */
BINE_API int bine_run(bine *rt, bine_run_mode mode);

/* For loops that poll: a descriptor that is readable when the runtime wants a turn, soon after it is time for
 * one, too; and how long it may be waited for: 0 not at all, -1 without limit. (Linux may end a wait of
 * poll() and its kin late by a thousandth; the descriptor is in time.) Ask for the time before every poll;
 * when it is over, or the descriptor readable, call bine_run(rt, BINE_RUN_NOWAIT) or bine_tick(). Never read
 * from the descriptor. It changes in the child of a fork, and when a script has closed it. The time is -1
 * inside a tick, where no turn can be given. BINE_ENOTSUP: the loop is the host's own. BINE_ECLOSED;
 * BINE_ETHREAD. Thread: owner. */
BINE_API int bine_poll_fd(bine *rt);
BINE_API int64_t bine_poll_timeout_ns(bine *rt);

/* Guest mode, for loops that cannot wait for a descriptor: a thread of the runtime's waits, and calls
 * request(user) when a turn is wanted, once until it was given. `request` has bine_run(rt, BINE_RUN_NOWAIT)
 * or bine_tick() called on the owner thread soon, by whatever posts to the host's loop, and returns: it must
 * not wait for the owner. When bine_guest_stop() or bine_close() has returned, it is not called any more.
 * BINE_EINVAL: it is NULL. BINE_EEXIST: it is on. BINE_ENOTSUP: the loop is the host's own. BINE_EBUSY:
 * inside a tick. BINE_ENOMEM: or no thread is to be had. Thread: owner. */
typedef void (*bine_request_tick)(void *user);
BINE_API int bine_guest_start(bine *rt, bine_request_tick request, void *user);
BINE_API int bine_guest_stop(bine *rt);

/* Game time: config.clock, as fast as the host wants it: 1.0 at first, 0 pauses it, 1e9 at the most. It
 * steps ahead at once, also when paused. bine.sleep() and timeouts follow it; those of descriptors, shields
 * and bine_shutdown() do not. bine_time(): ns since bine_open(). BINE_EINVAL: a negative scale or step; a
 * scale in deterministic mode. Thread: owner. */
BINE_API int bine_set_time_scale(bine *rt, double scale);
BINE_API int bine_step_time(bine *rt, int64_t ns);
BINE_API int64_t bine_time(bine *rt);

/* Has `task` called once, on the owner thread, on the host's stack, in a tick to come. Tasks
 * of one thread keep their order. `release` (may be NULL) frees `user` after the call, or
 * without it when the runtime closes first. On an error `user` has been released.
 * BINE_ECLOSED: it is closing, or closed. BINE_ENOMEM. Thread: any. */
typedef void (*bine_task)(bine *rt, void *user);
BINE_API int bine_post(bine *rt, bine_task task, void *user, bine_free release);

/* Ctrl-C: raises KeyboardInterrupt in the script that runs, also in `while True: pass`, or in
 * the oldest one when all wait. No effect when it is closed. Thread: any, and safe in a signal handler;
 * another thread's must have returned before bine_close() is called. */
BINE_API void bine_interrupt(bine *rt);

/* Why nothing runs. */
typedef enum bine_idle {
    BINE_IDLE_BUSY,    /* something is ready: tick */
    BINE_IDLE_DONE,    /* no micro-thread lives */
    BINE_IDLE_TIME,    /* the next timer comes */
    BINE_IDLE_OUTSIDE, /* a result of the host's, another Python thread, a signal handler of a script's may
                          come */
    BINE_IDLE_DEADLOCK /* the micro-threads wait for each other, or for what nobody is left to bring */
} bine_idle;

/* Tells which. A host that means to end the wait itself, by spawning, putting or posting, knows more than
 * this call. `report`, when it is not NULL, gets a new text: each micro-thread, what it waits for, its stack.
 * BINE_EINVAL: why is NULL. BINE_ENOMEM. Thread: owner. */
BINE_API int bine_why_idle(bine *rt, bine_idle *why, bine_value **report);

/* Begins the end: spawns are refused, and bine.Exit is raised in every micro-thread where it
 * waits, children first, and again at each later wait. Keep ticking. When `grace_ns` is over,
 * those that still live are reported through on_log with their stacks. A negative grace is none;
 * a second call changes nothing. BINE_ENOMEM: nothing has happened. Thread: owner. */
BINE_API int bine_shutdown(bine *rt, int64_t grace_ns);

/* Ends the runtime and its interpreter. Never blocks. Afterwards every call with `rt`, on whatever thread,
 * says BINE_ECLOSED; resolvers may still be consumed, which says the same, and handles be released.
 * BINE_EBUSY: a micro-thread lives, or a Python thread that is no daemon, or called from inside a
 * tick; bine_message() names it, and nothing has happened. Thread: owner. */
BINE_API int bine_close(bine *rt);

/* As bine_close() when nothing lives. Else it leaves what lives where it is: nothing of it runs ever again,
 * no finally block, no destructor, no `release` of what has begun, and no Python thread; the interpreter and
 * the stacks stay in memory until the process ends. What lives and errors that nobody took are reported
 * first, standard output is flushed. For hosts that must end, or go on without scripts. BINE_EBUSY: called
 * from inside a tick. Thread: owner. */
BINE_API int bine_close_abandon(bine *rt);

/* Told which micro-thread runs from now on, at each switch: NULL is the host. Called on its stack; must not
 * wait, spawn nor run Python. `hook` NULL: none any more. BINE_ETHREAD. Thread: owner. */
typedef void (*bine_switch_hook)(bine *rt, bine_micro *now, void *user);
BINE_API int bine_set_switch_hook(bine *rt, bine_switch_hook hook, void *user);

typedef struct bine_stats {
    size_t struct_size; /* set it to sizeof(bine_stats) */
    size_t alive;       /* micro-threads that have not ended */
    uint64_t spawned;   /* since bine_open() */
    uint64_t jobs;      /* resumptions and callbacks since bine_open() */
    size_t timers;      /* pending now */
    size_t stacks;      /* carved so far; a stack is used again and again */
    size_t stack_size;  /* of one, in bytes of address space */
    size_t deferreds;   /* that exist now */
} bine_stats;

/* BINE_EINVAL: stats->struct_size is not set. Thread: owner. */
BINE_API int bine_get_stats(const bine *rt, bine_stats *stats);

/* What was given in bine_config.user. Thread: owner. */
BINE_API void *bine_user(const bine *rt);

#ifdef __cplusplus
}
#endif
#endif
