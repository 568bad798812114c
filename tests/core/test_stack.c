/* Slots for stacks: their layout, their guards, the pool, and what happens when there are none. */
#include "fixture.h"

#include "core/runtime.h"
#include "core/sanitizer.h"
#include "core/pyframe.h"
#include "core/stack.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE ((size_t)256 * 1024)
/* As many free slots as are kept with their pages, and some. */
#define MANY 1100

/* The signal that a write to `at` ends a process with; 0: none. */
static int signal_of_write(char *at)
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        *(volatile char *)at = 1;
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(a_slot_is_writable_from_its_low_to_the_end_of_its_data_stack)
{
    bine__stacks stacks;
    bine__slot *slot;

    bine__stacks_init(&stacks, SIZE);
    slot = bine__stack_take(&stacks);
    CHECK(slot != NULL);
    CHECK_EQ(bine__stack_high(&stacks, slot) - slot->low, bine__stack_c_size(&stacks));
    memset(slot->low, 1, (size_t)(bine__stack_high(&stacks, slot) - slot->low) + stacks.data_size);
    CHECK_EQ((uintptr_t)bine__stack_high(&stacks, slot) % 16, 0);
    CHECK(stacks.data_size >= 16 * 1024);
    bine__stack_give(&stacks, slot);
    bine__stacks_deinit(&stacks);
}

TEST(slots_do_not_overlap)
{
    enum { COUNT = 100 };
    bine__slot *slots[COUNT];
    bine__stacks stacks;

    bine__stacks_init(&stacks, SIZE);
    for (size_t i = 0; i < COUNT; i++) {
        slots[i] = bine__stack_take(&stacks);
        CHECK(slots[i] != NULL);
        for (size_t j = 0; j < i; j++) {
            const char *end = bine__stack_high(&stacks, slots[j]) + stacks.data_size;

            CHECK(slots[i]->low >= end ||
                  bine__stack_high(&stacks, slots[i]) + stacks.data_size <= slots[j]->low);
        }
    }
    CHECK_EQ(stacks.in_use, COUNT);
    CHECK_EQ(stacks.carved, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        bine__stack_give(&stacks, slots[i]);
    CHECK_EQ(stacks.in_use, 0);
    bine__stacks_deinit(&stacks);
}

TEST(a_write_below_the_stack_is_a_segmentation_fault)
{
    bine__stacks stacks;
    bine__slot *slots[3];

    bine__stacks_init(&stacks, SIZE);
    for (size_t i = 0; i < 3; i++) {
        slots[i] = bine__stack_take(&stacks);
        CHECK_EQ(signal_of_write(slots[i]->low), 0);
        CHECK_EQ(signal_of_write(slots[i]->low - 1), SIGSEGV);
        CHECK_EQ(signal_of_write(slots[i]->low - stacks.page_size), SIGSEGV);
    }
    for (size_t i = 0; i < 3; i++)
        bine__stack_give(&stacks, slots[i]);
    bine__stacks_deinit(&stacks);
}

TEST(guards_by_mprotect_fault_too)
{
    bine__stacks stacks;
    bine__slot *slot;

    bine__stacks_init(&stacks, SIZE);
    stacks.guard_by_mprotect = true; /* as on kernels before 6.13 */
    slot = bine__stack_take(&stacks);
    CHECK_EQ(signal_of_write(slot->low), 0);
    CHECK_EQ(signal_of_write(slot->low - 1), SIGSEGV);
    CHECK_EQ(signal_of_write(slot->low - stacks.page_size), SIGSEGV);
    bine__stack_give(&stacks, slot);
    bine__stacks_deinit(&stacks);
}

TEST(guards_by_mprotect_end_cleanly_at_the_limit_of_mappings)
{
    enum { LIMIT = 40000 }; /* two mappings each: beyond vm.max_map_count as Linux sets it */
    bine__stacks stacks;
    size_t taken = 0;
    long max_maps = 0;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");

#if BINE__TSAN
    SKIP("ThreadSanitizer knows no more than 8,128 stacks");
#endif
    if (file == NULL || fscanf(file, "%ld", &max_maps) != 1 || max_maps > 70000)
        SKIP("vm.max_map_count is not as Linux sets it");
    fclose(file);
    bine__stacks_init(&stacks, 64 * 1024);
    stacks.guard_by_mprotect = true;
    while (taken < LIMIT && bine__stack_take(&stacks) != NULL)
        taken++;
    CHECK(taken > 1000);
    CHECK(taken < LIMIT);
    CHECK_EQ(stacks.carved, taken);
    CHECK(bine__stack_take(&stacks) == NULL);
    bine__stacks_deinit(&stacks);
}

TEST(the_slot_given_back_last_is_taken_first)
{
    bine__stacks stacks;
    bine__slot *a;
    bine__slot *b;

    bine__stacks_init(&stacks, SIZE);
    a = bine__stack_take(&stacks);
    b = bine__stack_take(&stacks);
    bine__stack_give(&stacks, a);
    bine__stack_give(&stacks, b);
    CHECK(bine__stack_take(&stacks) == b);
    CHECK(bine__stack_take(&stacks) == a);
    CHECK_EQ(stacks.carved, 2);
    bine__stack_give(&stacks, a);
    bine__stack_give(&stacks, b);
    bine__stacks_deinit(&stacks);
}

TEST(all_of_many_free_slots_are_used_again)
{
    static bine__slot *slots[MANY];
    bine__stacks stacks;

    bine__stacks_init(&stacks, SIZE);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            slots[i] = bine__stack_take(&stacks);
            CHECK(slots[i] != NULL);
            bine__stack_high(&stacks, slots[i])[-1] = 1;
        }
        CHECK_EQ(stacks.carved, MANY);
        for (size_t i = 0; i < MANY; i++)
            bine__stack_give(&stacks, slots[i]);
    }
    bine__stacks_deinit(&stacks);
}

static size_t pages_in_memory(const bine__stacks *stacks, const bine__slot *slot)
{
    size_t pages = (size_t)(bine__stack_high(stacks, slot) - slot->low) / stacks->page_size;
    unsigned char *in = malloc(pages);
    size_t count = 0;

    CHECK(in != NULL);
    CHECK_EQ(mincore(slot->low, pages * stacks->page_size, in), 0);
    for (size_t i = 0; i < pages; i++)
        count += in[i] & 1;
    free(in);
    return count;
}

TEST(a_stack_that_was_used_deep_gives_its_pages_back)
{
    bine__stacks stacks;
    bine__slot *slot;

    bine__stacks_init(&stacks, (size_t)4 << 20);
    slot = bine__stack_take(&stacks);
    memset(slot->low, 1, (size_t)(bine__stack_high(&stacks, slot) - slot->low));
    CHECK(pages_in_memory(&stacks, slot) > 900);
    bine__stack_give(&stacks, slot);
    CHECK(pages_in_memory(&stacks, slot) <= 32);
    bine__stacks_deinit(&stacks);
}

TEST(a_size_is_rounded_up_to_whole_pages)
{
    bine__stacks stacks;

    bine__stacks_init(&stacks, 1);
    CHECK(stacks.slot_size >= 64 * 1024);
    bine__stacks_init(&stacks, SIZE + 1);
    CHECK_EQ(stacks.slot_size, SIZE + stacks.page_size);
    CHECK_EQ(stacks.slot_size % stacks.page_size, 0);
}

TEST(without_address_space_there_is_no_slot)
{
    bine__stacks stacks;

    bine__stacks_init(&stacks, (size_t)1 << 46);
    CHECK(bine__stack_take(&stacks) == NULL);
    CHECK_EQ(stacks.in_use, 0);
    CHECK_EQ(stacks.carved, 0);
    bine__stacks_deinit(&stacks);
}

/* Sanitizers map more than any limit allows. */
static void limit_address_space(size_t more)
{
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

#if BINE__ASAN || BINE__TSAN
    SKIP("a sanitizer needs its address space");
#endif
    CHECK(file != NULL);
    CHECK_EQ(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    limit.rlim_cur = limit.rlim_max = pages * (size_t)sysconf(_SC_PAGESIZE) + more;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

TEST(scarce_address_space_is_used_to_the_end)
{
    bine__slot *slots[32];
    size_t taken = 0;
    bine__stacks stacks;

    limit_address_space(20 << 20);
    bine__stacks_init(&stacks, (size_t)4 << 20);
    for (; taken < 32; taken++) {
        slots[taken] = bine__stack_take(&stacks);
        if (slots[taken] == NULL)
            break;
    }
    CHECK(taken >= 3 && taken <= 5);
    CHECK(bine__stack_take(&stacks) == NULL);
    bine__stack_give(&stacks, slots[0]);
    CHECK(bine__stack_take(&stacks) == slots[0]);
    bine__stacks_deinit(&stacks);
}

TEST(a_script_that_gets_no_stack_raises_memory_error_and_the_host_goes_on)
{
    bine *rt = open_runtime();
    size_t size = rt->stacks.slot_size;

    rt->stacks.slot_size = (size_t)1 << 46;
    start_script(rt, "1");
    run_to_end(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "MemoryError");
    CHECK_HAS(error_message(0), "stack");
    forget_errors();

    rt->stacks.slot_size = size;
    run_script(rt, "1");
    close_runtime(rt);
}

TEST(address_space_that_ends_is_a_memory_error_in_the_micro_thread)
{
    bine *rt = open_runtime();

    run_script(rt, "import bine, traceback");
    limit_address_space(50 * rt->stacks.slot_size);
    run_script(rt, "import bine, __main__ as m\n"
                   "def wait(): bine.sleep(1); return 1\n"
                   "all = [bine.spawn(wait) for _ in range(200)]\n"
                   "m.got = m.none = 0\n"
                   "for t in all:\n"
                   "    try: m.got += t.join()\n"
                   "    except MemoryError: m.none += 1\n"
                   "m.again = bine.spawn(wait).join()\n");
    CHECK(script_int("got") > 10);
    CHECK(script_int("none") > 10);
    CHECK_EQ(script_int("got + none"), 200);
    CHECK_EQ(script_int("again"), 1);
    close_runtime(rt);
}

TEST(a_small_class_has_a_small_stack)
{
    bine_config config;
    bine_stats stats = {.struct_size = sizeof stats};
    bine *rt;

    bine_config_init(&config);
    config.stack_class = BINE_STACK_SMALL;
    rt = open_runtime_with(&config);
    run_script(rt, "import bine\n"
                   "assert sum(t.join() for t in [bine.spawn(lambda: 1) for _ in range(100)]) == 100\n");
    CHECK_OK(bine_get_stats(rt, &stats));
    CHECK_EQ(stats.stack_size, bine__small_stack_size());
    close_runtime(rt);
}

TEST(stacks_are_used_again_by_later_micro_threads)
{
    bine_stats stats = {.struct_size = sizeof stats};
    bine *rt = open_runtime();

    run_script(rt, "import bine\n"
                   "for _ in range(1000): bine.spawn(int).join()\n");
    CHECK_OK(bine_get_stats(rt, &stats));
    CHECK_EQ(stats.spawned, 1001);
    CHECK(stats.stacks <= 3);
    close_runtime(rt);
}
