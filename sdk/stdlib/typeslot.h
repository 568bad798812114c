/* Slots of built-in types with functions of ours in them. A slot has copies: the wrapper that scripts see
 * (FileIO.__init__), from which classes made later take it, and those of subclasses that there are already.
 *
 * Owner thread, GIL held. */
#ifndef BINE_STDLIB_TYPESLOT_H
#define BINE_STDLIB_TYPESLOT_H

#include <Python.h>

#include <stddef.h>

typedef struct bine__typeslot {
    const char *type; /* in its module */
    const char *name; /* as scripts see it: "__init__" */
    size_t offset;    /* in PyTypeObject */
    void (*ours)(void);
    void (*original)(void); /* NULL: it has never been in place */
} bine__typeslot;

#define BINE__SLOT_FUNCTION(function) ((void (*)(void))(function))

/* Puts ours in place, or the original back. What this CPython has not is left out. */
void bine__typeslot_fill(bine__typeslot *slot, PyObject *module);
void bine__typeslot_restore(bine__typeslot *slot, PyObject *module);

#endif
