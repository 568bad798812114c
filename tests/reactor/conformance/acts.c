#include "acts.h"

#include "driven.h"
#include "notes.h"

#include <pthread.h>

/* ---- doors ---- */

#define DOORS_MAX 64

const char waits_at_door[] = "import host\ngot = host.door()";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t another_door = PTHREAD_COND_INITIALIZER;
static bine_resolver *doors[DOORS_MAX];
static size_t doors_made;
static size_t doors_taken;

static int door(bine_call *call, void *user)
{
    bine_resolver *r;
    int status = bine_defer(call, NULL, &r);

    (void)user;
    if (status != BINE_OK)
        return status;
    pthread_mutex_lock(&lock);
    doors[doors_made++ % DOORS_MAX] = r;
    pthread_cond_signal(&another_door);
    pthread_mutex_unlock(&lock);
    return BINE_OK;
}

bine_resolver *take_door(void)
{
    bine_resolver *r;

    pthread_mutex_lock(&lock);
    while (doors_made == doors_taken)
        pthread_cond_wait(&another_door, &lock);
    r = doors[doors_taken++ % DOORS_MAX];
    pthread_mutex_unlock(&lock);
    return r;
}

void open_door(void *unused)
{
    (void)unused;
    CHECK_OK(bine_resolve(take_door(), bine_value_str("open")));
}

void open_doors(void *unused)
{
    for (int i = 0; i < ROUNDS; i++)
        open_door(unused);
}

/* ---- a deferred of the host's ---- */

bine_deferred *promise;
bine_resolver *promised;

static int owed(bine_call *call, void *user)
{
    (void)user;
    return bine_follow(call, bine_deferred_retain(promise));
}

void open_with_promise(void)
{
    open_driven();
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &promise, &promised));
    CHECK_OK(bine_def(rt, "host", "owed() -> object", owed, NULL, NULL));
}

void release_promise(void)
{
    bine_deferred_release(promise);
    bine_resolver_drop(promised);
}

/* ---- tasks ---- */

void note_task(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
    note("task ");
}

void post_note(void *unused)
{
    (void)unused;
    CHECK_OK(bine_post(rt, note_task, NULL, NULL));
}

#define PRODUCERS 4
#define POSTS 1000

static int posts_seen[PRODUCERS];
static int posts_in_all;

static void take_post(bine *runtime, void *user)
{
    uintptr_t number = (uintptr_t)user;
    size_t producer = number / POSTS;

    (void)runtime;
    CHECK_EQ(posts_seen[producer], number % POSTS);
    posts_seen[producer]++;
    posts_in_all++;
}

static void post_all(void *producer)
{
    uintptr_t first = (uintptr_t)producer * POSTS;

    for (uintptr_t i = 0; i < POSTS; i++)
        CHECK_OK(bine_post(rt, take_post, (void *)(first + i), NULL));
}

void produce(void)
{
    for (uintptr_t i = 0; i < PRODUCERS; i++)
        meanwhile(post_all, (void *)i);
}

bool all_posts_are_in(void *user)
{
    (void)user;
    return posts_in_all == PRODUCERS * POSTS;
}

/* ---- on a loop of the host's ---- */

static void ignore_request(void *user)
{
    (void)user;
}

void try_a_loop_of_its_own(void)
{
    open_driven();
    start_driven("import host\nhost.door()");
    CHECK_STATUS(bine_poll_fd(rt), BINE_ENOTSUP);
    CHECK_STATUS(bine_run(rt, BINE_RUN_DEFAULT), BINE_ENOTSUP);
    CHECK_STATUS(bine_run(rt, BINE_RUN_ONCE), BINE_ENOTSUP);
    CHECK_STATUS(bine_guest_start(rt, ignore_request, NULL), BINE_ENOTSUP);
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    open_door(NULL);
    close_driven();
}

/* ---- the end ---- */

void shut_down(void *unused)
{
    (void)unused;
    CHECK_OK(bine_shutdown(rt, SECOND));
}

/* ---- module host ---- */

static int note_it(bine_call *call, void *user)
{
    (void)user;
    note("%s ", bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

void define_host_functions(void)
{
    CHECK_OK(bine_def(rt, "host", "door() -> object", door, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "note(what: str)", note_it, NULL, NULL));
}
