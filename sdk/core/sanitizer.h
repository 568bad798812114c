/* What AddressSanitizer, ThreadSanitizer and valgrind want to be told about stacks. Each call
 * is empty in builds without the tool. */
#ifndef BINE_CORE_SANITIZER_H
#define BINE_CORE_SANITIZER_H

#include <stddef.h>

#if defined(__has_feature)
#define BINE__HAS_FEATURE(f) __has_feature(f)
#else
#define BINE__HAS_FEATURE(f) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || BINE__HAS_FEATURE(address_sanitizer)
#define BINE__ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define BINE__ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || BINE__HAS_FEATURE(thread_sanitizer)
#define BINE__TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define BINE__TSAN 0
#endif

#if BINE__ASAN
#define BINE__NO_ASAN __attribute__((no_sanitize("address")))
#else
#define BINE__NO_ASAN
#endif

#if BINE__VALGRIND
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#endif

/* What a tool keeps per stack. */
typedef struct bine__fiber {
#if BINE__ASAN
    void *fake_stack;
    const void *low;
    size_t size;
#elif BINE__TSAN
    void *tsan;
#else
    char unused;
#endif
} bine__fiber;

/* The fiber of a slot; NULL in builds without these tools, where it takes no room. */
#if BINE__ASAN || BINE__TSAN
#define BINE__FIBER(slot) (&(slot)->fiber)
#else
#define BINE__FIBER(slot) ((void)(slot), (bine__fiber *)NULL)
#endif

/* A fiber for the stack of `size` bytes at `low`; 0 for the thread's own stack. */
static inline void bine__fiber_init(bine__fiber *fiber, const void *low, size_t size)
{
#if BINE__ASAN
    fiber->fake_stack = NULL;
    fiber->low = low;
    fiber->size = size;
#elif BINE__TSAN
    fiber->tsan = size != 0 ? __tsan_create_fiber(0) : __tsan_get_current_fiber();
#endif
    (void)fiber;
    (void)low;
    (void)size;
}

/* The stack is used again from its top on. */
static inline void bine__fiber_renew(bine__fiber *fiber)
{
#if BINE__ASAN
    /* The frames that ended the last micro-thread never returned: their poison is still there. */
    size_t top = fiber->size < 65536 ? fiber->size : 65536;

    __asan_unpoison_memory_region((const char *)fiber->low + fiber->size - top, top);
    fiber->fake_stack = NULL;
#endif
    (void)fiber;
}

/* Before the switch from `from` to `to`; `ends`: nobody will switch back. */
static inline void bine__fiber_leave(bine__fiber *from, bine__fiber *to, int ends)
{
#if BINE__ASAN
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake_stack, to->low, to->size);
#elif BINE__TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    (void)from;
    (void)to;
    (void)ends;
}

/* After it, on the stack of `self`. */
static inline void bine__fiber_enter(bine__fiber *self)
{
#if BINE__ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
    (void)self;
}

/* Not while running on it. */
static inline void bine__fiber_deinit(bine__fiber *fiber)
{
#if BINE__TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
    (void)fiber;
}

/* A thread's clean-up where pthread_exit() ends it: the frames below never returned, and their poison is in
 * the way of whatever runs there next. */
BINE__NO_ASAN static inline void bine__thread_exits(void *unused)
{
#if BINE__ASAN
    __asan_unpoison_memory_region((const char *)__builtin_frame_address(0) - 65536, 65536);
#endif
    (void)unused;
}

static inline unsigned bine__valgrind_stack_register(char *low, char *high)
{
#if BINE__VALGRIND
    return VALGRIND_STACK_REGISTER(low, high);
#else
    (void)low;
    (void)high;
    return 0;
#endif
}

static inline void bine__valgrind_stack_deregister(unsigned id)
{
#if BINE__VALGRIND
    VALGRIND_STACK_DEREGISTER(id);
#else
    (void)id;
#endif
}

static inline void bine__valgrind_mark_defined(const void *low, size_t size)
{
#if BINE__VALGRIND
    (void)VALGRIND_MAKE_MEM_DEFINED(low, size);
#else
    (void)low;
    (void)size;
#endif
}

#endif
