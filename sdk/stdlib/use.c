#include "stdlib/use.h"

#define BUCKETS 256

static bine__use *buckets[BUCKETS];
size_t bine__uses;

/* One that stands in line; on its stack. */
typedef struct place {
    bine__describe describe; /* first */
    bine__timer timer;       /* real time */
    bine__micro *micro;
    bool late;
} place;

static bine__use **bucket_of(bine__purpose purpose)
{
    return &buckets[((uintptr_t)purpose.thing / 16 + (uintptr_t)purpose.end) % BUCKETS];
}

/* What the caller uses himself is not in his way: a signal handler runs in the midst of it. */
static bool is_in_the_way(const bine__use *use, bine__purpose purpose)
{
    return use->purpose.thing == purpose.thing && use->purpose.end == purpose.end &&
           use->user != bine__here->current;
}

static bine__use *find(bine__purpose purpose)
{
    bine__use *use = *bucket_of(purpose);

    while (use != NULL && !is_in_the_way(use, purpose))
        use = use->next;
    return use;
}

void bine__use_begin(bine *rt, bine__use *use, bine__purpose purpose)
{
    bine__use **bucket = bucket_of(purpose);

    *use = (bine__use){.next = *bucket, .purpose = purpose, .user = rt->current};
    *bucket = use;
    bine__uses++;
}

void bine__use_end(bine__use *use)
{
    bine__use **link = bucket_of(use->purpose);

    if (use->user == NULL)
        return;
    while (*link != use)
        link = &(*link)->next;
    *link = use->next;
    bine__uses--;
    bine__wake_all(&use->waiters);
}

/* Those that wait for one of the others' have ended too. */
void bine__stdlib_forked(bine *rt)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        bine__use **link = &buckets[i];

        while (*link != NULL) {
            if ((*link)->user == rt->current) {
                link = &(*link)->next;
                continue;
            }
            *link = (*link)->next;
            bine__uses--;
        }
    }
}

/* ---- waiting ---- */

static PyObject *describe(const void *what)
{
    (void)what;
    return PyUnicode_FromString("its turn to write");
}

static void on_late(bine__timer *timer)
{
    place *p = (place *)(void *)((char *)timer - offsetof(place, timer));

    p->late = true;
    bine__micro_wake(p->micro, p);
}

static int wait_for(bine *rt, bine__use *use, bine__limit *limit)
{
    place p = {.describe = describe, .timer.fire = on_late, .micro = rt->current};
    int64_t left = bine__limit_left(rt, limit);
    int status;

    if (left == 0)
        return BINE_ETIMEDOUT;
    if (left > 0 && bine__timer_set(rt->real_timers, &p.timer, bine__real_deadline(rt, left)) != 0)
        return BINE_ENOMEM;
    status = bine__await(rt, &use->waiters, BINE__NEVER, &p);
    bine__timer_stop(&p.timer);
    return p.late && status == BINE_OK ? BINE_ETIMEDOUT : status;
}

int bine__use_wait_slow(bine *rt, bine__purpose purpose, bine__limit *limit)
{
    bine__use *use = find(purpose);
    int status = BINE_OK;

    while (status == BINE_OK && use != NULL) {
        status = wait_for(rt, use, limit);
        use = find(purpose);
    }
    return status;
}
