/* Frames as data: bine_frame, copied out of Python, for errors and for looks at what lives. Owner thread, GIL
 * held; no exception is left. */
#ifndef BINE_PYTHON_FRAMES_H
#define BINE_PYTHON_FRAMES_H

#include <Python.h>

#include <bine/error.h>

/* All zero is empty. */
typedef struct bine__framelist {
    bine_frame *frames;
    size_t count;
    size_t capacity;
} bine__framelist;

/* Appends one. `lines`: what bine__line_reader() gave. 0, or -1: memory is out. */
int bine__framelist_add(bine__framelist *list, PyCodeObject *code, int line, PyObject *lines);

/* Frees all in it. */
void bine__framelist_clear(bine__framelist *list);

/* Python's function for the lines of files (new), or NULL: there are no lines then. */
PyObject *bine__line_reader(void);

/* The next two: new C text, or NULL when memory is out. A copy of NULL is "". */
char *bine__copy_text(const char *text);
/* str(object) in UTF-8, whatever happens. */
char *bine__text_of(PyObject *object);

#endif
