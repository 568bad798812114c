/* The pool of threads: lanes, what becomes of work that nobody waits for any more, the end. */
#include <Python.h> /* before any other */

#include "fixture.h"

#include <bine/python.h>

#include "service/pool.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 4, NAMES = 16 };

/* One errand: a micro-thread that has work done. */
typedef struct errand {
    bine__work work; /* first */
    bine *rt;
    bine__lane lane;
    int64_t limit_ns; /* of real time; 0: none */
    sem_t *gate;      /* the work waits for it; NULL: it is done at once */
    int status;       /* what bine__offload() said; 1: nothing yet */
    bool raised;      /* with an OSError */
    atomic_int runs;
    int dropped;
    int place; /* in the order of beginning, from 1 */
    pthread_t by;
    sigset_t mask;
    bine_micro *micro;
} errand;

static atomic_int begun;
static sem_t started; /* one for each that has begun */

static void run(bine__work *work)
{
    errand *e = (errand *)(void *)work;

    e->place = atomic_fetch_add(&begun, 1) + 1;
    e->by = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &e->mask);
    sem_post(&started);
    if (e->gate != NULL)
        while (sem_wait(e->gate) != 0)
            CHECK_EQ(errno, EINTR);
    atomic_fetch_add(&e->runs, 1);
}

static void drop(bine__work *work)
{
    ((errand *)(void *)work)->dropped++;
}

static int go(bine *rt, void *user, bine_value **out)
{
    errand *e = user;

    (void)out;
    e->status = bine__offload(rt, e->lane, &e->work,
                              e->limit_ns > 0 ? bine__real_deadline(rt, e->limit_ns) : BINE__NEVER);
    e->raised = PyErr_Occurred() != NULL && PyErr_ExceptionMatches(PyExc_OSError);
    PyErr_Clear();
    return BINE_OK;
}

static void send(bine *rt, errand *e)
{
    e->rt = rt;
    e->work.run = run;
    e->status = 1;
    CHECK_OK(bine_spawn(NULL, go, e, NULL, &e->micro));
}

static void send_all(bine *rt, errand *all, int count, bine__lane lane, sem_t *gate)
{
    for (int i = 0; i < count; i++) {
        all[i] = (errand){.lane = lane, .gate = gate};
        send(rt, &all[i]);
    }
    settle(rt);
}

static void release_all(errand *all, int count)
{
    for (int i = 0; i < count; i++)
        bine_micro_release(all[i].micro);
}

static void await_starts(int count)
{
    for (int i = 0; i < count; i++)
        while (sem_wait(&started) != 0)
            ;
}

static void open_gate(sem_t *gate, int count)
{
    for (int i = 0; i < count; i++)
        sem_post(gate);
}

static bine *open_pool(sem_t *gate)
{
    CHECK_EQ(sem_init(&started, 0, 0), 0);
    CHECK_EQ(sem_init(gate, 0, 0), 0);
    return open_runtime();
}

TEST(a_micro_thread_waits_until_its_work_is_done_and_others_run_meanwhile)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__REST, .gate = &gate, .work.what = "the gate"};
    bine_idle why;
    bine_value *report;

    send(rt, &e);
    settle(rt);
    await_starts(1);
    CHECK_OK(bine_run_string(rt, "seen = 1", "<test>", NULL));
    settle(rt);
    CHECK_EQ(script_int("seen"), 1);
    CHECK_EQ(e.status, 1);
    CHECK_OK(bine_why_idle(rt, &why, &report));
    CHECK_EQ(why, BINE_IDLE_OUTSIDE);
    CHECK(strstr(bine_value_as_str(report, NULL), "waits for the gate") != NULL);
    bine_value_free(report);
    open_gate(&gate, 1);
    run_to_end(rt);
    CHECK_EQ(e.status, BINE_OK);
    CHECK_EQ(e.runs, 1);
    CHECK(!pthread_equal(e.by, pthread_self()));
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(its_threads_have_all_signals_blocked)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__FILES};
    sigset_t own;

    pthread_sigmask(SIG_SETMASK, NULL, &own);
    CHECK(!sigismember(&own, SIGINT));
    send(rt, &e);
    run_to_end(rt);
    CHECK(sigismember(&e.mask, SIGINT) && sigismember(&e.mask, SIGCHLD) && sigismember(&e.mask, SIGTERM));
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(a_lane_has_its_own_threads_and_holds_up_no_other)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    static errand names[64];
    errand file = {.lane = BINE__FILES};

    send_all(rt, names, 64, BINE__NAMES, &gate);
    await_starts(NAMES);
    send(rt, &file);
    while (file.status == 1)
        bine_run(rt, BINE_RUN_ONCE);
    CHECK_EQ(file.status, BINE_OK);
    CHECK_EQ(atomic_load(&begun), NAMES + 1);
    open_gate(&gate, 64);
    run_to_end(rt);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(names[i].runs, 1);
    release_all(names, 64);
    bine_micro_release(file.micro);
    close_runtime(rt);
}

TEST(what_stands_in_line_begins_in_order)
{
    sem_t gate;
    sem_t none;
    bine *rt = open_pool(&gate);
    errand busy[FILES - 1];
    errand all[20];

    CHECK_EQ(sem_init(&none, 0, 1000), 0);
    send_all(rt, busy, FILES - 1, BINE__FILES, &gate); /* so that one thread is left */
    await_starts(FILES - 1);
    send_all(rt, all, 20, BINE__FILES, &none);
    await_starts(20);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(all[i].place, FILES + i);
    open_gate(&gate, FILES);
    run_to_end(rt);
    release_all(busy, FILES - 1);
    release_all(all, 20);
    close_runtime(rt);
}

TEST(one_cancelled_before_it_has_begun_never_begins)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand busy[FILES];
    errand e[3] = {{.work.drop = drop}, {.work.drop = NULL}, {.work.drop = NULL}};

    send_all(rt, busy, FILES, BINE__FILES, &gate);
    await_starts(FILES);
    for (int i = 0; i < 3; i++)
        send(rt, &e[i]); /* BINE__FILES */
    settle(rt);
    bine_micro_cancel(e[0].micro);
    bine_micro_cancel(e[2].micro); /* the last in line */
    settle(rt);
    CHECK_EQ(e[0].status, BINE_ECANCELED);
    CHECK_EQ(e[2].status, BINE_ECANCELED);
    CHECK_EQ(e[0].dropped, 1);
    open_gate(&gate, FILES);
    run_to_end(rt);
    CHECK_EQ(e[0].runs + e[2].runs, 0);
    CHECK_EQ(e[1].runs, 1);
    release_all(busy, FILES);
    release_all(e, 3);
    close_runtime(rt);
}

TEST(one_that_may_be_left_behind_lets_go_at_once_and_is_dropped_when_done)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__NAMES, .gate = &gate, .work.drop = drop};

    send(rt, &e);
    settle(rt);
    await_starts(1);
    bine_micro_cancel(e.micro);
    settle(rt);
    CHECK_EQ(e.status, BINE_ECANCELED);
    CHECK_EQ(e.dropped, 0);
    open_gate(&gate, 1);
    while (e.dropped == 0)
        bine_run(rt, BINE_RUN_NOWAIT);
    CHECK_EQ(e.runs, 1);
    CHECK_EQ(e.dropped, 1);
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(one_that_may_not_is_waited_for_and_the_cancel_comes_after)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__FILES, .gate = &gate};

    send(rt, &e);
    settle(rt);
    await_starts(1);
    bine_micro_cancel(e.micro);
    settle(rt);
    CHECK_EQ(e.status, 1);
    open_gate(&gate, 1);
    run_to_end(rt);
    CHECK_EQ(e.status, BINE_OK);
    CHECK_EQ(e.runs, 1);
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(time_is_over_in_line_and_while_it_runs)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand busy[NAMES];
    errand late = {.lane = BINE__NAMES, .limit_ns = 30 * SECOND, .work.drop = drop};

    for (int i = 0; i < NAMES; i++) {
        busy[i] = (errand){.lane = BINE__NAMES, .gate = &gate, .limit_ns = 20 * SECOND, .work.drop = drop};
        send(rt, &busy[i]);
    }
    settle(rt);
    await_starts(NAMES);
    send(rt, &late);
    settle(rt);
    crank(20 * SECOND);
    settle(rt);
    CHECK_EQ(busy[0].status, BINE_ETIMEDOUT);
    CHECK_EQ(busy[0].dropped, 0);
    CHECK_EQ(late.status, 1);
    crank(10 * SECOND);
    settle(rt);
    CHECK_EQ(late.status, BINE_ETIMEDOUT);
    CHECK_EQ(late.dropped, 1);
    open_gate(&gate, NAMES);
    while (busy[NAMES - 1].dropped == 0 || atomic_load(&busy[0].runs) == 0)
        bine_run(rt, BINE_RUN_NOWAIT);
    release_all(busy, NAMES);
    bine_micro_release(late.micro);
    close_runtime(rt);
}

static int go_cancelled(bine *rt, void *user, bine_value **out)
{
    bine_micro_cancel(bine_micro_current());
    return go(rt, user, out);
}

TEST(one_that_was_told_to_end_before_is_refused)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.work = {.run = run, .drop = drop}};

    CHECK_OK(bine_spawn(NULL, go_cancelled, &e, NULL, NULL));
    settle(rt);
    CHECK_EQ(e.status, BINE_ECANCELED);
    CHECK_EQ(e.runs, 0);
    CHECK_EQ(e.dropped, 1);
    CHECK_EQ(bine__offload(rt, BINE__REST, &e.work, BINE__NEVER), BINE_EMICRO); /* the host */
    CHECK_EQ(e.dropped, 2);
    close_runtime(rt);
}

static errand behind; /* it outlives the runtime */

TEST(closing_leaves_behind_what_runs_without_anybody)
{
    static sem_t gate;
    bine *rt = open_pool(&gate);

    behind = (errand){.lane = BINE__NAMES, .gate = &gate, .work.drop = drop};
    send(rt, &behind);
    settle(rt);
    await_starts(1);
    bine_micro_cancel(behind.micro);
    settle(rt);
    bine_micro_release(behind.micro);
    close_runtime(rt);
    open_gate(&gate, 1);
    while (atomic_load(&behind.runs) == 0)
        ;
    CHECK_EQ(behind.dropped, 0);
}

TEST(abandoning_leaves_behind_who_waits_too)
{
    static sem_t gate;
    bine *rt = open_pool(&gate);
    bine_micro *micro;

    behind = (errand){.lane = BINE__FILES, .gate = &gate};
    send(rt, &behind);
    settle(rt);
    await_starts(1);
    micro = behind.micro;
    bine_micro_release(micro);
    CHECK_OK(bine_close_abandon(rt));
    open_gate(&gate, 1);
    while (atomic_load(&behind.runs) == 0)
        ;
    CHECK_EQ(behind.status, 1);
}

/* That warns of the threads in 3.12, and shows the line, which it looks for in a file: by a thread. */
static bine *open_pool_to_fork(sem_t *gate)
{
    bine *rt = open_pool(gate);

    run_script(rt, "import warnings; warnings.simplefilter('ignore')");
    return rt;
}

static int fork_and_work(bine *rt, void *user, bine_value **out)
{
    errand e = {.rt = rt, .lane = BINE__FILES, .work.run = run};
    PyObject *pid;
    int *status = user;

    PyRun_SimpleString("import os; pid = os.fork()");
    pid = PyObject_GetAttrString(PyImport_AddModule("__main__"), "pid");
    if (PyLong_AsLong(pid) == 0) {
        go(rt, &e, out);
        _exit(e.status == BINE_OK && e.runs == 1 ? 0 : 1);
    }
    while (waitpid((pid_t)PyLong_AsLong(pid), status, 0) < 0)
        CHECK_EQ(errno, EINTR);
    Py_DECREF(pid);
    return BINE_OK;
}

/* The errand waits, and the handler of a signal amidst that for `came`. */
static void wait_in_handler(bine *rt, errand *e)
{
    run_script(rt, "import bine, signal\n"
                   "came = bine.Event()\n"
                   "signal.signal(signal.SIGUSR1, lambda *args: came.wait())");
    send(rt, e);
    settle(rt);
    await_starts(1);
    CHECK_EQ(raise(SIGUSR1), 0);
    settle(rt);
}

TEST(work_that_is_done_while_a_signals_handler_waits_is_taken_back)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__FILES, .gate = &gate};

    wait_in_handler(rt, &e);
    open_gate(&gate, 1);
    while (!e.work.done)
        bine_run(rt, BINE_RUN_ONCE);
    CHECK_EQ(e.status, 1);
    CHECK(script_true("came.set() is None"));
    run_to_end(rt);
    CHECK_EQ(e.status, BINE_OK);
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(work_that_is_done_after_a_signals_handler_has_waited_is_taken_back)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__FILES, .gate = &gate};

    wait_in_handler(rt, &e);
    CHECK(script_true("came.set() is None"));
    settle(rt);
    CHECK_EQ(e.status, 1);
    open_gate(&gate, 1);
    run_to_end(rt);
    CHECK_EQ(e.status, BINE_OK);
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(the_child_of_a_fork_has_threads_of_its_own_and_nothing_else)
{
    sem_t gate;
    bine *rt = open_pool_to_fork(&gate);
    errand all[2 * FILES];
    int status = -1;

    send_all(rt, all, 2 * FILES, BINE__FILES, &gate);
    await_starts(FILES);
    CHECK_OK(bine_spawn(NULL, fork_and_work, &status, NULL, NULL));
    while (status == -1)
        bine_run(rt, BINE_RUN_ONCE); /* in the child, to its end */
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    open_gate(&gate, 2 * FILES);
    run_to_end(rt);
    for (int i = 0; i < 2 * FILES; i++)
        CHECK_EQ(all[i].runs, 1);
    release_all(all, 2 * FILES);
    close_runtime(rt);
}

static pid_t fork_on_host(bine *rt)
{
    pid_t pid;

    CHECK_OK(bine_python_enter(rt));
    CHECK_EQ(PyRun_SimpleString("import os; pid = os.fork()"), 0);
    pid = (pid_t)script_int("pid");
    bine_python_leave(rt);
    return pid;
}

/* In the child: all is told that it waits in vain, and there are threads again. Never returns. */
static void be_the_child(bine *rt, const errand *all, int count)
{
    errand e = {.lane = BINE__FILES};

    run_to_end(rt);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(all[i].status, BINE_EIO);
        CHECK(all[i].raised);
        CHECK_EQ(all[i].dropped, all[i].work.drop != NULL);
    }
    CHECK(!bine__pool_awaited(rt));
    send(rt, &e);
    run_to_end(rt);
    CHECK_EQ(e.status, BINE_OK);
    _exit(0);
}

TEST(when_the_host_forks_those_that_wait_are_told_in_the_child)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand all[2 * FILES];
    int status;
    pid_t pid;

    send_all(rt, all, 2 * FILES, BINE__FILES, &gate);
    for (int i = 0; i < 2 * FILES; i += 2)
        all[i].work.drop = drop;
    await_starts(FILES);
    bine_micro_cancel(all[1].micro); /* and one is told so only when it is done */
    settle(rt);
    pid = fork_on_host(rt);
    if (pid == 0)
        be_the_child(rt, all, 2 * FILES);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    open_gate(&gate, 2 * FILES);
    run_to_end(rt);
    for (int i = 0; i < 2 * FILES; i++)
        CHECK_EQ(all[i].status, BINE_OK);
    release_all(all, 2 * FILES);
    close_runtime(rt);
}

static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;

    CHECK(tasks != NULL);
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count;
}

TEST(before_a_fork_idle_threads_end_and_busy_ones_stay)
{
    sem_t gate;
    bine *rt = open_pool_to_fork(&gate);
    errand idle = {.lane = BINE__REST};
    errand busy[1];
    int before;

    send(rt, &idle);
    run_to_end(rt);
    send_all(rt, busy, 1, BINE__FILES, &gate);
    await_starts(2);
    before = count_threads();
    start_script(rt, "import __main__, os\n"
                     "__main__.pid = os.fork()\n"
                     "if __main__.pid == 0: os._exit(0)\n");
    settle(rt);
    CHECK_EQ(count_threads(), before - 1);
    CHECK_EQ(waitpid((pid_t)script_int("pid"), NULL, 0), script_int("pid"));
    open_gate(&gate, 1);
    run_to_end(rt);
    CHECK_EQ(busy[0].status, BINE_OK);
    send(rt, &busy[0]); /* and a new one is started */
    open_gate(&gate, 1);
    bine_micro_release(idle.micro);
    run_to_end(rt);
    CHECK_EQ(busy[0].runs, 2);
    close_runtime(rt);
}

static int go_often(bine *rt, void *user, bine_value **out)
{
    errand *e = user;

    for (int i = 0; i < 200; i++) {
        go(rt, e, out);
        CHECK_EQ(e->status, BINE_OK);
    }
    return BINE_OK;
}

TEST(many_at_once_have_all_their_work_done)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    static errand all[50];

    for (int i = 0; i < 50; i++) {
        all[i] = (errand){.lane = (bine__lane)(i % BINE__LANES), .work = {.run = run, .brief = i % 8 < 5}};
        CHECK_OK(bine_spawn(NULL, go_often, &all[i], NULL, NULL));
    }
    run_to_end(rt);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(all[i].runs, 200);
    close_runtime(rt);
}

/* ---- brief ones ---- */

/* Many that are done at once, so that a thread looks out for the next; and one that is not. */
static int go_often_then_wait(bine *rt, void *user, bine_value **out)
{
    errand *e = user;
    errand quick = {.lane = e->lane, .work = {.run = run, .brief = true}};

    go_often(rt, &quick, out);
    CHECK_EQ(quick.runs, 200);
    e->status = 1;
    return go(rt, e, out);
}

TEST(one_that_was_to_be_brief_and_is_not_holds_nobody_up)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__FILES, .gate = &gate, .work = {.run = run, .brief = true}, .status = 1};
    int starts = 0;

    CHECK_OK(bine_spawn(NULL, go_often_then_wait, &e, NULL, &e.micro));
    while (starts <= 200) {
        bine_run(rt, BINE_RUN_NOWAIT);
        starts += sem_trywait(&started) == 0;
    }
    CHECK_OK(bine_run_string(rt, "seen = 1", "<test>", NULL));
    settle(rt);
    CHECK_EQ(script_int("seen"), 1);
    CHECK_EQ(e.status, 1);
    open_gate(&gate, 1);
    run_to_end(rt);
    CHECK_EQ(e.status, BINE_OK);
    CHECK_EQ(e.runs, 1);
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(the_child_of_a_fork_right_behind_a_brief_one_has_threads_too)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__FILES, .work = {.run = run, .brief = true}};
    int status = -1;

    CHECK_OK(bine_spawn(NULL, go_often, &e, NULL, NULL));
    run_to_end(rt);
    CHECK_OK(bine_spawn(NULL, fork_and_work, &status, NULL, NULL));
    while (status == -1)
        bine_run(rt, BINE_RUN_ONCE); /* in the child, to its end */
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    close_runtime(rt);
}

/* ---- no thread to be had ---- */

static int refuse_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    if (refuse_threads)
        return EAGAIN;
    return __real_pthread_create(thread, attr, start, arg);
}

TEST(without_a_thread_to_be_had_it_is_done_on_the_spot)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand e = {.lane = BINE__FILES};

    refuse_threads = 1;
    send(rt, &e);
    settle(rt);
    CHECK_EQ(e.status, BINE_OK);
    CHECK(pthread_equal(e.by, pthread_self()));
    bine_micro_release(e.micro);
    close_runtime(rt);
}

TEST(with_fewer_threads_than_wanted_those_do_it_all)
{
    sem_t gate;
    bine *rt = open_pool(&gate);
    errand first[1];
    errand rest[3];

    send_all(rt, first, 1, BINE__FILES, &gate);
    await_starts(1);
    refuse_threads = 1;
    send_all(rt, rest, 3, BINE__FILES, &gate);
    open_gate(&gate, 4);
    run_to_end(rt);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_equal(rest[i].by, first[0].by));
    release_all(first, 1);
    release_all(rest, 3);
    close_runtime(rt);
}
