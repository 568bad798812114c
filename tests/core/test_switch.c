/* The context switch: what it keeps, per stack, and where backtraces end. */
#include "fixture.h"

#include "core/sanitizer.h"
#include "core/stack.h"
#include "core/switch.h"

#include <fenv.h>
#include <pthread.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* The host's stack and another one, which hand over to each other. */
typedef struct side {
    void *sp;
    bine__slot *slot;
    bine__fiber *fiber;
} side;

static bine__stacks stacks;
static bine__fiber host_fiber;
static side host;
static side other;
static side third;

static void go(side *from, side *to)
{
    bine__fiber_leave(from->fiber, to->fiber, 0);
    bine__switch(&from->sp, to->sp);
    bine__fiber_enter(from->fiber);
}

static void make_host(void)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;

    bine__stacks_init(&stacks, (size_t)1 << 20);
    CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
    CHECK_EQ(pthread_attr_getstack(&attr, &low, &size), 0);
    pthread_attr_destroy(&attr);
#if BINE__ASAN
    bine__fiber_init(&host_fiber, low, size);
#else
    bine__fiber_init(&host_fiber, NULL, 0);
#endif
    host.fiber = &host_fiber;
}

static void make_side(side *s, void (*entry)(void *), void *arg)
{
    s->slot = bine__stack_take(&stacks);
    CHECK(s->slot != NULL);
    s->fiber = BINE__FIBER(s->slot);
    s->sp = bine__switch_prepare(bine__stack_high(&stacks, s->slot), entry, arg);
}

static int calls;
static void *seen_arg;
static uintptr_t seen_frame;

static void note(void *arg)
{
    bine__fiber_enter(other.fiber);
    calls++;
    seen_arg = arg;
    seen_frame = (uintptr_t)__builtin_frame_address(0);
    for (;;)
        go(&other, &host);
}

TEST(the_first_switch_calls_the_entry_on_the_new_stack)
{
    make_host();
    make_side(&other, note, &calls);
    go(&host, &other);
    CHECK_EQ(calls, 1);
    CHECK(seen_arg == &calls);
    CHECK(seen_frame > (uintptr_t)other.slot->low);
    CHECK(seen_frame <= (uintptr_t)bine__stack_high(&stacks, other.slot));
    CHECK_EQ(seen_frame % 16, 0); /* as the ABI wants it, for SSE */
    go(&host, &other);
    CHECK_EQ(calls, 1);
}

static int64_t sum_down(side *self, side *to, int depth)
{
    volatile int64_t mine = depth;
    int64_t below;

    go(self, to);
    below = depth == 0 ? 0 : sum_down(self, to, depth - 1);
    go(self, to);
    return mine + below;
}

static int64_t sum_of_other;

static void sum_on_other(void *arg)
{
    bine__fiber_enter(other.fiber);
    sum_of_other = sum_down(&other, &host, *(const int *)arg);
    for (;;)
        go(&other, &host);
}

TEST(deep_recursions_on_two_stacks_alternate_at_every_level)
{
    int depth = 1000;

    make_host();
    make_side(&other, sum_on_other, &depth);
    CHECK_EQ(sum_down(&host, &other, depth), 500500);
    go(&host, &other);
    CHECK_EQ(sum_of_other, 500500);
}

#if defined(__x86_64__)

/* int keep_registers(void **save, void *to, uint64_t base): fills the registers that belong to the
 * callee with base+1 ... base+6, switches, and says which have changed. */
int keep_registers(void **save, void *to, uint64_t base);
__asm__(".text\n"
        ".globl keep_registers\n"
        ".type keep_registers, @function\n"
        "keep_registers:\n"
        "    pushq %rbx\n    pushq %rbp\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    pushq %rdx\n"
        "    leaq 1(%rdx), %rbx\n    leaq 2(%rdx), %rbp\n    leaq 3(%rdx), %r12\n"
        "    leaq 4(%rdx), %r13\n    leaq 5(%rdx), %r14\n    leaq 6(%rdx), %r15\n"
        "    call bine__switch\n"
        "    popq %rdx\n"
        "    xorl %eax, %eax\n"
        "    subq %rdx, %rbx\n    subq %rdx, %rbp\n    subq %rdx, %r12\n"
        "    subq %rdx, %r13\n    subq %rdx, %r14\n    subq %rdx, %r15\n"
        "    cmpq $1, %rbx\n    je 1f\n    orl $1, %eax\n"
        "1:  cmpq $2, %rbp\n    je 2f\n    orl $2, %eax\n"
        "2:  cmpq $3, %r12\n    je 3f\n    orl $4, %eax\n"
        "3:  cmpq $4, %r13\n    je 4f\n    orl $8, %eax\n"
        "4:  cmpq $5, %r14\n    je 5f\n    orl $16, %eax\n"
        "5:  cmpq $6, %r15\n    je 6f\n    orl $32, %eax\n"
        "6:  popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbp\n    popq %rbx\n"
        "    ret\n"
        ".size keep_registers, .-keep_registers\n");

static int changed_on_other;

static void keep_on_other(void *arg)
{
    (void)arg;
    bine__fiber_enter(other.fiber);
    for (uint64_t base = 1000;; base += 1000) {
        bine__fiber_leave(other.fiber, host.fiber, 0);
        changed_on_other |= keep_registers(&other.sp, host.sp, base);
        bine__fiber_enter(other.fiber);
    }
}

TEST(the_callees_registers_are_kept_per_stack)
{
    make_host();
    make_side(&other, keep_on_other, NULL);
    for (uint64_t base = 7; base < 77; base += 7) {
        int changed;

        bine__fiber_leave(host.fiber, other.fiber, 0);
        changed = keep_registers(&host.sp, other.sp, base << 40);
        bine__fiber_enter(host.fiber);
        CHECK_EQ(changed, 0);
    }
    CHECK_EQ(changed_on_other, 0);
}

static unsigned x87_control(void)
{
    unsigned short word;

    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}

static void round_up(void *arg)
{
    (void)arg;
    bine__fiber_enter(other.fiber);
    CHECK_EQ(fegetround(), FE_TONEAREST);
    fesetround(FE_UPWARD);
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
    for (;;) {
        go(&other, &host);
        CHECK_EQ(fegetround(), FE_UPWARD); /* the x87's */
        CHECK_EQ(_MM_GET_ROUNDING_MODE(), _MM_ROUND_UP);
        CHECK_EQ(_MM_GET_FLUSH_ZERO_MODE(), _MM_FLUSH_ZERO_ON);
    }
}

TEST(the_control_words_of_both_float_units_are_kept_per_stack)
{
    unsigned mxcsr = _mm_getcsr() & ~0x3fu; /* without the exception flags */
    unsigned x87 = x87_control();

    make_host();
    make_side(&other, round_up, NULL);
    for (int i = 0; i < 5; i++) {
        go(&host, &other);
        CHECK_EQ(_mm_getcsr() & ~0x3fu, mxcsr);
        CHECK_EQ(x87_control(), x87);
    }
}

#else

TEST(the_callees_registers_are_kept_per_stack)
{
    SKIP("written for x86-64 only");
}

TEST(the_control_words_of_both_float_units_are_kept_per_stack)
{
    SKIP("written for x86-64 only");
}

#endif

static void on_third(void *arg)
{
    (void)arg;
    bine__fiber_enter(third.fiber);
    for (;;) {
        calls += 100;
        go(&third, &host);
    }
}

static void to_third(void *arg)
{
    (void)arg;
    bine__fiber_enter(other.fiber);
    for (;;) {
        calls++;
        go(&other, &third);
    }
}

TEST(stacks_hand_over_in_a_ring)
{
    make_host();
    make_side(&other, to_third, NULL);
    make_side(&third, on_third, NULL);
    for (int i = 0; i < 1000; i++)
        go(&host, &other);
    CHECK_EQ(calls, 101000);
}

/* ---- for the debugger: see tests/CMakeLists.txt ---- */

void *suspended_stack;
void look_at_suspended(void);

/* A breakpoint is set here. */
__attribute__((noinline)) void look_at_suspended(void)
{
    __asm__ volatile("" ::: "memory");
}

static int look(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    look_at_suspended();
    return BINE_OK;
}

TEST(a_running_micro_thread_to_look_at)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "look() -> None", look, NULL, NULL));
    run_script(rt, "import host\n"
                   "def f(n): return host.look() if n == 0 else f(n - 1)\n"
                   "f(10)\n");
    close_runtime(rt);
}

__attribute__((noinline)) static void descend(int depth)
{
    if (depth > 0)
        descend(depth - 1);
    else
        go(&other, &host);
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

__attribute__((noinline)) static void suspend_deep(void *arg)
{
    (void)arg;
    bine__fiber_enter(other.fiber);
    descend(3);
    go(&other, &host);
}

TEST(a_suspended_stack_to_look_at)
{
    make_host();
    make_side(&other, suspend_deep, NULL);
    go(&host, &other);
    suspended_stack = other.sp;
    look_at_suspended();
}
