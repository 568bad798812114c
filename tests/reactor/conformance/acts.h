/* What the cases of several subjects do to a runtime. Act(user) is for meanwhile(), when_idle() and
 * between_turns() of driven.h. */
#ifndef BINE_TESTS_ACTS_H
#define BINE_TESTS_ACTS_H

#include <bine/bine.h>

/* Of the runtime of the case, for module `host` of its scripts:
 *   door() -> object: waits until somebody resolves what take_door() gives
 *   note(what): see notes.h. */
void define_host_functions(void);

/* ---- doors ---- */

/* A script that goes through one: `got`. */
extern const char waits_at_door[];

/* The resolver of the oldest door() that has not been taken; waits for it. Thread: any but the owner; there
 * it must have been asked for. */
bine_resolver *take_door(void);
/* With "open". An act. */
void open_door(void *unused);

#define ROUNDS 500

/* So many, each as soon as there is one: about when the loop begins to wait. An act, not between turns. */
void open_doors(void *unused);

/* ---- a deferred of the host's ---- */

extern bine_deferred *promise;
extern bine_resolver *promised;

/* As open_driven(); host.owed() waits for the promise. */
void open_with_promise(void);
void release_promise(void);

/* ---- tasks ---- */

/* Notes "task ". */
void note_task(bine *runtime, void *user);
/* It. An act. */
void post_note(void *unused);

/* Four threads post thousands; fails when those of one are called in another order. */
void produce(void);
bool all_posts_are_in(void *user);

/* ---- on a loop of the host's ---- */

/* What needs a loop of the runtime's own: fails unless it is refused. A whole case. */
void try_a_loop_of_its_own(void);

/* ---- the end ---- */

/* An act. */
void shut_down(void *unused);

#endif
