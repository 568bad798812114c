#include "core/stack.h"

#include "core/sanitizer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13: guards a page without splitting the mapping */
#endif

/* CPython asks for its data stack in chunks of 16 KiB; the first one lies in the slot. */
#define DATA_SIZE ((size_t)16 * 1024)
/* How much of the hot page is the C stack's: a parked plain function takes about 900 bytes. */
#define HOT_C_SIZE ((size_t)2560)

/* As much of it as is laid out before a stack is switched to. */
#define TOP_SIZE ((size_t)1024)

#define SLOT_MIN ((size_t)64 * 1024)
#define REGION_SLOTS_MIN ((size_t)16)
#define REGION_SLOTS_MAX ((size_t)4096)
#define REGION_SIZE_MAX ((size_t)16 << 30)

/* Free slots whose pages are kept. */
#define WARM_MAX ((size_t)1024)
/* A script that got this deep gives its pages back at its end. */
#define DEEP ((size_t)128 * 1024)

typedef struct bine__region {
    struct bine__region *next;
    char *base;
    size_t size;
    size_t count; /* slots it has room for */
    size_t carved;
    bine__slot slots[];
} bine__region;

void bine__stacks_init(bine__stacks *stacks, size_t slot_size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (slot_size < SLOT_MIN)
        slot_size = SLOT_MIN;
    slot_size = (slot_size + page - 1) / page * page;
    *stacks = (bine__stacks){
        .slot_size = slot_size,
        .data_size = DATA_SIZE + page - HOT_C_SIZE % page,
        .page_size = page,
    };
    stacks->c_size = slot_size - page - stacks->data_size;
}

/* From one slot to the next: an odd number of pages, so that what all touch, at the same place in each, does
 * not fall into the same sets of the processor's TLB. */
static size_t stride(const bine__stacks *stacks)
{
    return stacks->slot_size / stacks->page_size % 2 != 0 ? stacks->slot_size
                                                          : stacks->slot_size + stacks->page_size;
}

static bine__region *region_new(bine__stacks *stacks, size_t count)
{
    size_t size = count * stride(stacks);
    bine__region *region = malloc(sizeof *region + count * sizeof region->slots[0]);
    void *base;

    if (region == NULL)
        return NULL;
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        free(region);
        return NULL;
    }
    madvise(base, size, MADV_NOHUGEPAGE); /* a huge page per stack would undo the point of them */
    region->next = stacks->regions;
    region->base = base;
    region->size = size;
    region->count = count;
    region->carved = 0;
    stacks->regions = region;
    return region;
}

/* Regions double in size, and halve again when the address space is scarce. */
static bine__region *region_grow(bine__stacks *stacks)
{
    size_t count = stacks->carved < REGION_SLOTS_MIN ? REGION_SLOTS_MIN : stacks->carved;

    if (count > REGION_SLOTS_MAX)
        count = REGION_SLOTS_MAX;
    if (count > REGION_SIZE_MAX / stacks->slot_size)
        count = REGION_SIZE_MAX / stacks->slot_size;
    for (; count > 0; count /= 2) {
        bine__region *region = region_new(stacks, count);

        if (region != NULL)
            return region;
    }
    return NULL;
}

static int guard(bine__stacks *stacks, char *page)
{
    if (!stacks->guard_by_mprotect) {
        if (madvise(page, stacks->page_size, MADV_GUARD_INSTALL) == 0)
            return 0;
        if (errno != EINVAL)
            return -1;
        stacks->guard_by_mprotect = true;
    }
    /* Splits the mapping: vm.max_map_count bounds how many can be made. */
    return mprotect(page, stacks->page_size, PROT_NONE);
}

static bine__slot *carve(bine__stacks *stacks)
{
    bine__region *region = stacks->regions;
    bine__slot *slot;
    char *base;

    if (region == NULL || region->carved == region->count)
        region = region_grow(stacks);
    if (region == NULL)
        return NULL;

    base = region->base + region->carved * stride(stacks);
    if (guard(stacks, base) != 0)
        return NULL;
    slot = &region->slots[region->carved];
    slot->next = NULL;
    slot->co = NULL;
    slot->low = base + stacks->page_size;
    bine__fiber_init(BINE__FIBER(slot), slot->low, stacks->c_size);
#if BINE__VALGRIND
    slot->valgrind_id = bine__valgrind_stack_register(slot->low, bine__stack_high(stacks, slot));
#endif
    region->carved++;
    stacks->carved++;
    return slot;
}

static bine__slot *pop(bine__slot **list)
{
    bine__slot *slot = *list;

    if (slot != NULL)
        *list = slot->next;
    return slot;
}

bine__slot *bine__stack_take(bine__stacks *stacks)
{
    bine__slot *slot = pop(&stacks->warm);

    if (slot != NULL)
        stacks->warm_count--;
    else
        slot = pop(&stacks->cold);
    if (slot == NULL)
        slot = carve(stacks);
    if (slot == NULL)
        return NULL;
    bine__fiber_renew(BINE__FIBER(slot));
    /* To valgrind, what the one before has popped is out of bounds; the next begins by writing there. */
    bine__valgrind_mark_defined(bine__stack_high(stacks, slot) - TOP_SIZE, TOP_SIZE);
    stacks->in_use++;
    return slot;
}

/* Whether the script got far down its stack: frames that deep leave something behind. */
BINE__NO_ASAN static bool went_deep(const bine__stacks *stacks, const bine__slot *slot)
{
    const uintptr_t *probe;

    if (stacks->c_size <= DEEP)
        return false;
    probe = (const uintptr_t *)(const void *)(bine__stack_high(stacks, slot) - DEEP);
    bine__valgrind_mark_defined(probe, 8 * sizeof *probe);
    return (probe[0] | probe[1] | probe[2] | probe[3] | probe[4] | probe[5] | probe[6] | probe[7]) != 0;
}

void bine__stack_give(bine__stacks *stacks, bine__slot *slot)
{
    stacks->in_use--;
    if (went_deep(stacks, slot))
        madvise(slot->low, stacks->c_size - DEEP / 2, MADV_DONTNEED);
    if (stacks->warm_count < WARM_MAX) {
        slot->next = stacks->warm;
        stacks->warm = slot;
        stacks->warm_count++;
        return;
    }
    slot->next = stacks->cold;
    stacks->cold = slot;
}

void bine__stacks_deinit(bine__stacks *stacks)
{
    while (stacks->regions != NULL) {
        bine__region *region = stacks->regions;

        stacks->regions = region->next;
        for (size_t i = 0; i < region->carved; i++) {
#if BINE__VALGRIND
            bine__valgrind_stack_deregister(region->slots[i].valgrind_id);
#endif
            bine__fiber_deinit(BINE__FIBER(&region->slots[i]));
        }
        munmap(region->base, region->size);
        free(region);
    }
    stacks->warm = NULL;
    stacks->cold = NULL;
}
