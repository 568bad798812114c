/* Scopes, for the files of sdk. Owner thread. */
#ifndef BINE_DATA_SCOPE_H
#define BINE_DATA_SCOPE_H

#include "core/runtime.h"
#include "data/deferred.h"

#include <bine/scope.h>

struct binding;
struct closer;

struct bine_scope {
    bine *rt;
    unsigned holds;       /* handles, members, and deferreds for its end */
    char *name;           /* NULL: none */
    char *reason;         /* why it was cancelled, or NULL */
    bine__micro *members; /* that live, the newest first */
    size_t alive;
    bine__micro *failed; /* children, in the order they failed; the scope has a hold on each */
    bine__micro *last_failed;
    bine__waiters waiting; /* for the end of all members */
    bine__micro *body;     /* the micro-thread inside its with block, or NULL */
    bine_scope *outer;     /* that of the body when it was entered, held; or NULL */
    struct binding *bindings;
    struct closer *closers; /* deferreds for its end */
    bine__result outcome;   /* once it has ended and somebody asked */
    bine__timer deadline;
    bool passes_on; /* what its members spawn belongs to it too */
    bool closed;    /* no more children */
    bool cancelled;
    bool timed_out;
    bool telling; /* what it came to is just being told to its closers */
};

/* NULL with a message when memory is out. `name` is copied. */
bine_scope *bine__scope_new(bine *rt, const char *name);
void bine__scope_let_go(bine_scope *scope);

/* Whether one more may enter it, as a child or just as a member: BINE_OK, or BINE_ECLOSED with a message. */
int bine__scope_check_member(const bine_scope *scope, bool child, const char *call);

/* Makes a micro-thread, just spawned, a member; or a child, whose error is the scope's. */
void bine__scope_enter(bine_scope *scope, bine__micro *micro, bool child);

/* A member has ended. True: it failed and the scope keeps it, with the hold that the runtime had. */
bool bine__scope_leave(bine__micro *micro, bool failed);

/* What a micro-thread that `spawner` spawns belongs to, or NULL. */
bine_scope *bine__scope_inherited(const bine__micro *spawner);

/* Cancels members and body. */
void bine__scope_stop(bine_scope *scope);

/* Why the running micro-thread is cancelled, as its scope says; NULL: it does not. */
const char *bine__scope_reason(const bine__micro *micro);

/* Takes out the failed children, the one that failed first; NULL: no more. The hold is the caller's. */
bine__micro *bine__scope_take_failed(bine_scope *scope);

#endif
