/* A micro-thread that goes on for long by calls that never have to wait gives the others a turn now and
 * then. */
#ifndef BINE_STDLIB_FAIR_H
#define BINE_STDLIB_FAIR_H

#include "core/runtime.h"

/* So many calls in a row without a turn of anybody else's. */
#define BINE__IN_A_ROW 64

/* One more call that did not have to wait. On a micro-thread that may wait. */
static inline void bine__fair(bine *rt)
{
    if (rt->fair_turn != rt->ready.out) {
        rt->fair_turn = rt->ready.out;
        rt->fair_calls = 0;
    }
    if (++rt->fair_calls >= BINE__IN_A_ROW)
        bine__yield(rt);
}

#endif
