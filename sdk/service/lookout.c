#include "service/lookout.h"

#include "core/clock.h"

#include <sched.h>

/* Looks between two readings of the clock. */
#define LOOKS 16

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static unsigned count_processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

bool bine__has_processors(void)
{
    static atomic_uint count; /* 0: not known yet */
    unsigned now = atomic_load_explicit(&count, memory_order_relaxed);

    if (now == 0) {
        now = count_processors();
        atomic_store_explicit(&count, now, memory_order_relaxed);
    }
    return now > 1;
}

bool bine__look_out(const atomic_uint *value, unsigned old, int64_t ns)
{
    int64_t end = bine__monotonic(NULL) + ns;

    do {
        for (int i = 0; i < LOOKS; i++) {
            if (atomic_load_explicit(value, memory_order_acquire) != old)
                return true;
            relax();
        }
    } while (bine__monotonic(NULL) < end);
    return false;
}
