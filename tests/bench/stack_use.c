/* stack_use: how much C stack the recursions of stack_use.py take, in bytes and per call that
 * CPython counts. From it come BINE__STACK_BYTES_PER_CALL and BINE__STACK_DEFAULT_SIZE of
 * sdk/core/pystate_<minor>.h. Prints a table. */
#include "fixture.h"

#include "core/runtime.h"

#include <sys/mman.h>

/* Forgets what has been used below here. */
__attribute__((noinline)) static int reset(bine_call *call, void *user)
{
    bine__slot *slot = bine_call_runtime(call)->current->slot;
    char *here = (char *)((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)4095) - 8192;

    (void)user;
    madvise(slot->low, (size_t)(here - slot->low), MADV_DONTNEED);
    return BINE_OK;
}

/* The bytes from the top of the stack down to the lowest page touched since reset(). */
static int used(bine_call *call, void *user)
{
    bine__slot *slot = bine_call_runtime(call)->current->slot;
    size_t pages = (bine_call_runtime(call)->stacks.c_size + 4095) / 4096;
    unsigned char *resident = malloc(pages);
    size_t first = 0;

    (void)user;
    CHECK(resident != NULL && mincore(slot->low, pages * 4096, resident) == 0);
    while (first < pages && (resident[first] & 1) == 0)
        first++;
    free(resident);
    return bine_return(
        call, bine_value_i64((int64_t)bine_call_runtime(call)->stacks.c_size - (int64_t)first * 4096));
}

static int cap(bine_call *call, void *user)
{
    (void)user;
    return bine_return(call, bine_value_i64(bine_call_runtime(call)->recursion_cap));
}

static int size(bine_call *call, void *user)
{
    (void)user;
    return bine_return(call, bine_value_i64((int64_t)bine_call_runtime(call)->stacks.c_size));
}

int main(int argc, char **argv)
{
    bine_config config;
    bine *rt;

    (void)argc;
    bine_config_init(&config);
    rt = open_runtime_with(&config);
    CHECK_OK(bine_def(rt, "stack", "reset() -> None", reset, NULL, NULL));
    CHECK_OK(bine_def(rt, "stack", "used() -> int", used, NULL, NULL));
    CHECK_OK(bine_def(rt, "stack", "cap() -> int", cap, NULL, NULL));
    CHECK_OK(bine_def(rt, "stack", "size() -> int", size, NULL, NULL));
    CHECK_OK(bine_run_file(rt, argv[1], NULL));
    run_to_end(rt);
    close_runtime(rt);
    return EXIT_SUCCESS;
}
