/* How long the jobs of a tick take: the longest, and whose it was. */
#include "core/runtime.h"

#include <string.h>

/* Of the processor's counter, which costs a fraction of a clock; where the host has a clock of its own, of
 * that. */
int64_t bine__job_stamp(bine *rt)
{
    if (rt->config.budget_clock != NULL)
        return bine__real_now(rt);
#if defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    int64_t count;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return bine__real_now(rt);
#endif
}

static void end_job(bine *rt, int64_t now)
{
    struct bine__jobtimes *jobs = &rt->jobs;

    if (jobs->owner == NULL || now - jobs->began <= jobs->longest)
        return;
    jobs->longest = now - jobs->began;
    jobs->longest_owner = jobs->owner == &rt->host ? NULL : jobs->owner;
    jobs->name[0] = '\0';
}

void bine__job_begins(bine *rt, const bine__micro *owner)
{
    int64_t now = bine__job_stamp(rt);

    end_job(rt, now);
    rt->jobs.owner = owner;
    rt->jobs.began = now;
}

/* How much of it fits into `room` bytes, a character of UTF-8 as a whole or not. */
static size_t fitting(const char *name, size_t room)
{
    size_t size = strlen(name);

    if (size <= room)
        return size;
    for (size = room; size > 0 && ((unsigned char)name[size] & 0xc0) == 0x80;)
        size--;
    return size;
}

/* Keeps the name of whose the longest job was, as much as there is room for. */
void bine__job_keep_name(bine *rt)
{
    struct bine__jobtimes *jobs = &rt->jobs;
    const char *name;
    size_t size;

    if (jobs->longest_owner == NULL)
        return;
    name = bine__python_name(jobs->longest_owner);
    size = fitting(name, sizeof jobs->name - 1);
    memcpy(jobs->name, name, size);
    jobs->name[size] = '\0';
    jobs->longest_owner = NULL;
}

void bine__job_ends(bine *rt, const bine__micro *owner)
{
    end_job(rt, bine__job_stamp(rt));
    rt->jobs.owner = NULL;
    if (owner != NULL && rt->jobs.longest_owner == owner)
        bine__job_keep_name(rt);
}
