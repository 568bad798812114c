/* Stall reports: who has held the loop for longer than config.stall_ns, and at which line.
 *
 * A thread looks now and then, while turns are given, whether the same job still runs. What it finds it has
 * told by the interpreter itself, between two instructions: for a native call, right when that has returned,
 * at the line that made it; for a script that computes, where it is. One that goes on is told of again each
 * time that its time has doubled. Costs nothing per job. */
#ifndef BINE_PYTHON_STALL_H
#define BINE_PYTHON_STALL_H

#include "core/runtime.h"

/* At open, if the config wants it. Without memory, or a thread: -1. */
int bine__stalls_open(bine *rt);

/* For tests: whether something has been found that is to be told at the interpreter's next instruction; whether
 * nobody looks until the next turn. */
bool bine__stalls_asked(const bine *rt);
bool bine__stalls_asleep(const bine *rt);

#endif
