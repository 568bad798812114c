/* The runtime's own state, for the files of sdk. Owner thread only, but for `inbox`,
 * `interrupted` and `reactor`'s wake. */
#ifndef BINE_CORE_RUNTIME_H
#define BINE_CORE_RUNTIME_H

#include "core/clock.h"
#include "core/inbox.h"
#include "core/micro.h"
#include "core/sched.h"
#include "core/stack.h"
#include "core/timer.h"
#include "reactor/reactor.h"

#include <bine/runtime.h>

/* How long the jobs of a tick take. Times are stamps, see tick.c. */
struct bine__jobtimes {
    int64_t began;            /* the running one */
    const bine__micro *owner; /* whose it is, &bine.host: a callback's; NULL: none runs */
    int64_t longest;
    const bine__micro *longest_owner; /* NULL: a callback's, or it has ended and `name` says whose it was */
    char name[64];
};

struct bine {
    /* What a switch touches comes first. */
    bine__micro *current; /* &host when no micro-thread runs */
    PyThreadState *tstate;
    bine__queue ready;
    bool hooked;                /* somebody wants to know of switches: the two that follow */
    bool hooks;                 /* the host's switch hook or Python's */
    bool timing;                /* bine_tick_info's longest job */
    unsigned fair_calls;        /* calls in a row that did not have to wait */
    uint64_t stop;              /* ready.out at which the tick looks up again */
    uint64_t fair_turn;         /* ready.out when fair_calls began; see stdlib/fair.h */
    void *(*cxa_globals)(void); /* C++'s per-thread exception state, when libstdc++ is loaded */
    bine__micro host;           /* stands for the host's stack */
    bine__micro ending;         /* stands for one that has ended, while destructors still run on its stack */
    bine__fiber host_fiber;

    uint64_t spawned;
    bine__micro *newest; /* all that live */
    bine__micro *oldest;
    size_t alive;
    bine__micro *main; /* the first script, while it lives */

    bine__stacks stacks;
    bine__stacks large;  /* of the default class, to lend to those of the small one */
    bine__gametime game; /* the scripts' clock */
    bine__timers timers; /* on it */
    bine__clock real;    /* real time, which budgets go by */
    bine__timers on_real;
    bine__timers *real_timers;  /* `on_real`; in deterministic mode `timers` */
    bine__waiters next_frame;   /* who waits for it */
    bine__waiters signalled;    /* who waits for a signal to Python, see signal.pause() */
    uint64_t frames;            /* that have begun while somebody waited */
    int64_t frame_due;          /* as real_timers go, when the host has no frames of its own */
    struct bine__jobtimes jobs; /* while `timing` */
    bine__reactor *reactor;
    struct bine__guest *guest; /* NULL: no guest mode */
    bine__inbox *inbox;
    bool asked;              /* the host knows already that a turn is wanted */
    atomic_bool over;        /* it is closed */
    atomic_bool interrupted; /* a signal wants the interpreter's attention */

    bine_config config; /* with pointers of its own, or NULL */
    int gil_depth;
    int recursion_cap;
    bool ticking;
    bool shutting_down;
    bool closing;          /* jobs only free what they hold */
    bool started;          /* a script has been run: __main__ is taken */
    bool hooking;          /* a switch hook is running */
    bool collects_here;    /* the collector was last begun by the owner */
    bool descriptors_lost; /* the runtime's own: closed by somebody, not to be had again yet */
    bine__timer grace;
    bine__job grace_over;
    unsigned long long loaded_objects; /* the dynamic linker's count, to notice libstdc++ */
    struct bine_deferred *deferreds;   /* those to be seen to before the end, the newest first */
    uint64_t walks;                    /* searches through deferreds so far */
    bine_switch_hook switch_hook;      /* the host's, or NULL */
    void *switch_user;
    struct bine__python *python; /* what sdk/python keeps per runtime */
    unsigned finalizing;         /* destructors in progress on the running stack */
    int foreign_wakeup;          /* a script's own, while ours stands in for it; -1: none */
    int signal_pipe[2];          /* -1: not used. Python's signal handlers write to [1] */
    ino_t signal_inode;          /* of it */
    bine_watch signal_watch;
    struct bine__descriptors *descriptors; /* that somebody waits for; NULL: nobody has yet */
    struct bine__pool *pool;               /* of threads, see service/pool.h; NULL: not needed yet */
    struct bine__stalls *stalls;           /* see python/stall.h; NULL: not wanted */
    size_t watched;                        /* descriptors that event loops watch, see asyncio/ */
};

/* C++ keeps the exceptions being handled per OS thread; each stack needs its own. This is the
 * layout of __cxa_eh_globals in the Itanium C++ ABI. */
typedef struct bine__cxa_state {
    void *caught;
    unsigned uncaught;
} bine__cxa_state;

/* The runtime that the calling thread owns, or NULL. */
extern _Thread_local bine *bine__here __attribute__((tls_model("initial-exec")));

/* BINE_OK, or BINE_EINVAL / BINE_ETHREAD with a message naming `call`. */
int bine__check_owner(const bine *rt, const char *call);

/* Sets bine_message() for this thread and returns `status`. Thread: any. */
int bine__fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The host gets back what it gave with a callback; `release` may be NULL. */
static inline void bine__release(void *user, bine_free release)
{
    if (release != NULL)
        release(user);
}

/* As bine__fail(), with the text "call: why", for a call that takes `user` even on failure. */
int bine__refuse(int status, void *user, bine_free release, const char *call, const char *why);

/* Each line goes to on_log by itself. */
void bine__log(bine *rt, bine_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Of the stack in `slot`; NULL: the host's. */
static inline bine__fiber *bine__fiber_of(bine *rt, bine__slot *slot)
{
    return slot != NULL ? BINE__FIBER(slot) : &rt->host_fiber;
}

/* The GIL, counted: the owner may hold it already. */
void bine__gil_take(bine *rt);
void bine__gil_give(bine *rt);

int64_t bine__now(bine *rt);      /* the scripts' clock, game time */
int64_t bine__real_now(bine *rt); /* the ticks' clock */

/* now + ns without overflow; BINE__NEVER for a negative ns. On the scripts' clock; on that of
 * rt->real_timers. */
int64_t bine__deadline(bine *rt, int64_t ns);
int64_t bine__real_deadline(bine *rt, int64_t ns);

/* Something has come up. Between two turns: the host is to take one. */
void bine__ask_between(bine *rt);
static inline void bine__ask(bine *rt)
{
    if (!rt->ticking)
        bine__ask_between(rt);
}

/* The next job's turn is after all that stand in line. */
static inline void bine__ready(bine *rt, bine__job *job)
{
    bine__queue_push(&rt->ready, job);
    bine__ask(rt);
}

/* One turn: looks up, runs what is ready. Returns the jobs. `is_frame`: a frame of the host's begins. */
uint64_t bine__turn(bine *rt, int64_t budget_ns, bool is_frame);
/* Tells whoever is to give the next turn when that is wanted. */
void bine__plan(bine *rt);
/* A turn on the host's loop, unless one is being taken. */
void bine__turn_on_loop(void *rt);

/* How long until a turn is wanted: 0 at once, -1 until the reactor is woken. */
int64_t bine__wait_ns(bine *rt);

/* While rt->timing: a job of `owner` begins, and ends the one that ran; that is all, and `owner` ends too. */
int64_t bine__job_stamp(bine *rt);
void bine__job_keep_name(bine *rt);
void bine__job_begins(bine *rt, const bine__micro *owner);
void bine__job_ends(bine *rt, const bine__micro *owner);

/* Round a wait of the loop, without the GIL: Python's signal handlers are to end it, whatever a
 * script has set with signal.set_wakeup_fd(). */
void bine__signals_attend(bine *rt);
void bine__signals_release(bine *rt);

/* Signals that have come so far are not news any more: the caller runs Python's handlers of them now. */
void bine__signals_forget(bine *rt);

/* Whether it is what Python runs for bine_interrupt(), on a host that handles signals itself. */
bool bine__is_own_handler(PyObject *handler);

/* Makes the loop's descriptors anew: in the child of a fork, or when somebody has closed them. */
void bine__descriptors_lost(bine *rt, bool forked);

/* What the layers above supply. sdk/data: */

/* Before the end: takes in what producers brought; reports the rejections that nobody took. */
void bine__deferreds_report(bine *rt);
/* At the end, jobs only free by now: settles what somebody stands in line for. */
void bine__deferreds_end(bine *rt);

/* sdk/service: */

/* Nobody waits for a descriptor any more. */
void bine__descriptors_free(bine *rt);
/* Whether anybody waits for a descriptor. */
bool bine__descriptors_awaited(const bine *rt);
/* Ends the pool's threads; those that have something to do are left behind with it. Nothing lives, or runs
 * any more. */
void bine__pool_close(bine *rt);
/* Before a fork: threads that have nothing to do end. From 3.12 on CPython warns of forks where there are
 * any. */
void bine__pool_before_fork(bine *rt);
/* In the child of a fork: the threads, and what they had to do, are the parent's; who waits for that, and is
 * here since the host has forked, is told so. */
void bine__pool_forked(bine *rt);
/* Whether anybody waits for a thread of the pool. */
bool bine__pool_awaited(const bine *rt);

/* sdk/stdlib: */

/* In the child of a fork: no thread of the pool is on its way into the interpreter. */
void bine__offload_forked(void);
/* In the child of a fork: who waits for children by a thread finds none. */
void bine__children_forked(bine *rt);
/* In the child of a fork, which has the running micro-thread alone: what others were about is over. */
void bine__stdlib_forked(bine *rt);

/* sdk/python: */

/* In the child of a fork: threads that are not there any more wait for nothing. On the thread that forked,
 * GIL held. */
void bine__python_forked(void);
/* While rt->stalls: a turn begins; it has ended. */
void bine__stalls_turn(bine *rt);
void bine__stalls_turned(bine *rt);
/* Nobody looks any more. In the child of a fork: the thread that looks is the parent's. */
void bine__stalls_close(bine *rt);
void bine__stalls_forked(bine *rt);
/* bine_micro_name(). */
const char *bine__python_name(const bine__micro *micro);
/* Control has come to rt->current. */
void bine__python_switched(bine *rt);
/* A rejection that nobody took, GIL held. */
void bine__python_report_rejection(bine *rt, bine_deferred *d);
/* A callback of the host's has returned: an exception of Python's that it left behind is logged. GIL held. */
void bine__python_end_callback(bine *rt, const char *what);
/* When an exception of Python's is set, makes a result of it: true. GIL held. */
struct bine__result;
bool bine__python_take_failure(bine *rt, struct bine__result *out);
/* A rejection as data (new), or NULL when memory is out. */
bine_error *bine__python_error_of(bine *rt, const struct bine__result *r);
/* Somebody has got a rejection for good: if it is a micro-thread's error, nobody else needs to hear of it. */
void bine__python_saw(const struct bine__result *r);
/* What a scope's failed children come to: an exception group, as the result of its end. */
void bine__python_scope_failed(bine_scope *scope, struct bine__result *out);
/* One hold less on a micro-thread that its scope has kept because it failed. With or without the GIL. */
void bine__python_drop_failed(bine__micro *micro);

/* What scripts have put into a pipe (data/pipe.h). One hold less on such an object, which leaks when the
 * interpreter has gone; owner, with or without the GIL. */
void bine__python_drop_object(bine *rt, void *object);
/* What it comes to for C: plain data, else a value that holds it (new). NULL: no memory. Owner, likewise. */
bine_value *bine__python_value_of(bine *rt, void *object);

/* A wait whose stack will never run again, in the child of a fork, GIL held: nobody is to be served there. */
void bine__python_left(struct bine__wait *wait);

/* Before Py_Initialize: registers the module. 0 or -1. */
int bine__python_register(void);
/* After it, GIL held: imports the module, fills rt->python. BINE_OK or a status with a message. */
int bine__python_open(bine *rt);
/* Before finalisation, GIL held: lets go of every Python object. */
void bine__python_close(bine *rt);
/* After finalisation: frees rt->python. */
void bine__python_closed(bine *rt);
/* Runs a micro-thread on its own stack. Called without one (slot NULL) when it is not to begin:
 * it was cancelled first, or there is no stack to be had. */
void bine__python_run(bine__micro *micro);
/* The last thing, on the same stack, when it is `done`; may free it. */
void bine__python_ended(bine__micro *micro);
/* Before the end, GIL held: reports every error that nobody took. */
void bine__python_report_failed(bine *rt);
/* GIL held: logs those that live, what is to be said of them, what they wait for, and their stacks. */
void bine__python_report_survivors(bine *rt, const char *what);
/* Before the end, GIL held: closes the generators that are suspended; none begins any more. */
void bine__python_close_generators(bine *rt);
/* Before the interpreter is left behind, GIL held: flushes standard output and error. */
void bine__python_flush(void);
/* Before finalisation, GIL held: the name of a Python thread that would have to be waited for
 * (valid until the next call), or NULL. */
const char *bine__python_living_thread(bine *rt);
/* The running micro-thread's wait was interrupted: runs signal handlers if that is why. 0: wait
 * on; -1: something is to be raised (bine__micro.pending says what). */
int bine__python_interrupted(bine *rt);

#endif
