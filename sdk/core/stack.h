/* Stacks for micro-threads: slots carved from large regions, each with a guard page at its low
 * end, kept in a pool when their micro-thread has ended. Knows the operating system, nothing
 * of Python. Owner thread only.
 *
 * One slot, low addresses left; both stacks grow from one point in one page, so that a
 * micro-thread that does little touches a single page:
 *
 *   | guard page | ......... C stack, grows down <--| --> Python data stack, grows up |
 *                                       'hot' page: |........^.......|               */
#ifndef BINE_CORE_STACK_H
#define BINE_CORE_STACK_H

#include "core/sanitizer.h"

#include <stdbool.h>
#include <stddef.h>

struct bine__co;

typedef struct bine__slot {
    struct bine__slot *next; /* in the pool */
    char *low;               /* of the C stack, above the guard page */
    struct bine__co *co;     /* the coroutine that it is the stack of; NULL: a micro-thread's */
#if BINE__VALGRIND
    unsigned valgrind_id;
#endif
#if BINE__ASAN || BINE__TSAN
    bine__fiber fiber;
#endif
} bine__slot;

/* In bytes. The sizes of the other classes depend on the version of CPython. */
#define BINE__STACK_LARGE_SIZE ((size_t)64 << 20)

struct bine__region;

typedef struct bine__stacks {
    size_t slot_size;
    size_t c_size;    /* of that, the C stack */
    size_t data_size; /* and the data stack */
    size_t page_size;
    struct bine__region *regions;
    bine__slot *warm; /* free, pages possibly in memory */
    bine__slot *cold; /* free, no pages */
    size_t warm_count;
    size_t carved; /* slots made so far */
    size_t in_use;
    bool guard_by_mprotect; /* the kernel has no lightweight guards */
} bine__stacks;

/* `slot_size` is rounded up to whole pages, 64 KiB at the least. */
void bine__stacks_init(bine__stacks *stacks, size_t slot_size);

/* A slot, or NULL when out of address space or of mappings. */
bine__slot *bine__stack_take(bine__stacks *stacks);

/* Gives a slot back. May be called while still running on it: its memory stays until the next take. */
void bine__stack_give(bine__stacks *stacks, bine__slot *slot);

/* Unmaps everything. No slot may be in use. */
void bine__stacks_deinit(bine__stacks *stacks);

/* The C stack that a slot of this size offers, in bytes; the data stack begins where it ends. */
static inline size_t bine__stack_c_size(const bine__stacks *stacks)
{
    return stacks->c_size;
}

static inline char *bine__stack_high(const bine__stacks *stacks, const bine__slot *slot)
{
    return slot->low + stacks->c_size;
}

#endif
