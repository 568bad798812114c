/* What one micro-thread uses for a while, and another has to wait for until it is done: a socket's stream in
 * the midst of a sendall(), a TLS connection. Nobody pays for it who meets nobody. Owner thread. */
#ifndef BINE_STDLIB_USE_H
#define BINE_STDLIB_USE_H

#include "core/runtime.h"
#include "stdlib/limit.h"

typedef struct bine__use bine__use;

/* What is used, and for what: two uses of one thing for different ends do not disturb each other. */
typedef struct bine__purpose {
    const void *thing;
    int end;
} bine__purpose;

/* On the user's stack. */
struct bine__use {
    bine__use *next;
    bine__purpose purpose;
    const bine__micro *user;
    bine__waiters waiters;
};

/* Uses that are under way, of whatever. */
extern size_t bine__uses;

/* Begins one. Nobody else uses it: bine__use_wait() has said so, and nobody ran since. */
void bine__use_begin(bine *rt, bine__use *use, bine__purpose purpose);
/* Who waits for it goes on. No effect on one that was not begun. */
void bine__use_end(bine__use *use);

/* Waits within the limit until nobody else uses it. BINE_OK, or why not. */
int bine__use_wait_slow(bine *rt, bine__purpose purpose, bine__limit *limit);

static inline int bine__use_wait(bine *rt, bine__purpose purpose, bine__limit *limit)
{
    return bine__uses == 0 ? BINE_OK : bine__use_wait_slow(rt, purpose, limit);
}

#endif
