/* The context switch: saves the callee-saved registers of one C stack and takes up those of
 * another. Knows nothing of Python. One implementation per architecture, switch_<arch>.S. */
#ifndef BINE_CORE_SWITCH_H
#define BINE_CORE_SWITCH_H

/* Leaves the running stack, storing where it stands in *save, and goes on at `to`. Returns when
 * somebody switches back to *save. */
void bine__switch(void **save, void *to);

/* Lays out a new stack that grows down from `top` (16-byte aligned), so that the first switch
 * to the returned pointer calls entry(arg), which must not return. Backtraces end there. */
void *bine__switch_prepare(void *top, void (*entry)(void *), void *arg);

#endif
