/* Frames as data: see frames.h. */
#include "python/frames.h"

#include "python/python.h"

#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

char *bine__copy_text(const char *text)
{
    return strdup(text == NULL ? "" : text);
}

char *bine__text_of(PyObject *object)
{
    PyObject *text = object == NULL ? NULL : PyObject_Str(object);
    PyObject *bytes = text == NULL ? NULL : PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    char *copy = bytes != NULL ? bine__copy_text(PyBytes_AS_STRING(bytes))
                               : bine__copy_text("<its str() failed>");

    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    return copy;
}

/* ---- source lines ---- */

/* linecache's entry for `source`: its size, no date, its lines, its name. New. */
static PyObject *cache_entry(PyObject *name, PyObject *source)
{
    PyObject *text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(source), PyBytes_GET_SIZE(source), "replace");
    PyObject *lines = text == NULL ? NULL : PyUnicode_Splitlines(text, 1);
    PyObject *entry = lines == NULL ? NULL
                                    : Py_BuildValue("(nOOO)", PyBytes_GET_SIZE(source), Py_None, lines, name);

    Py_XDECREF(lines);
    Py_XDECREF(text);
    return entry;
}

/* Not before an error is to be shown: linecache takes some milliseconds to import. */
void bine__publish_sources(bine__python *py)
{
    PyObject *module = PyDict_GET_SIZE(py->sources) == 0 ? NULL : PyImport_ImportModule("linecache");
    PyObject *cache = module == NULL ? NULL : PyObject_GetAttrString(module, "cache");
    PyObject *name;
    PyObject *source;
    Py_ssize_t at = 0;

    while (cache != NULL && PyDict_Next(py->sources, &at, &name, &source)) {
        PyObject *entry = cache_entry(name, source);

        if (entry != NULL)
            PyObject_SetItem(cache, name, entry);
        PyErr_Clear();
        Py_XDECREF(entry);
    }
    if (cache != NULL)
        PyDict_Clear(py->sources);
    PyErr_Clear();
    Py_XDECREF(cache);
    Py_XDECREF(module);
}

PyObject *bine__line_reader(void)
{
    PyObject *linecache = PyImport_ImportModule("linecache");
    PyObject *lines = linecache == NULL ? NULL : PyObject_GetAttrString(linecache, "getline");

    PyErr_Clear();
    Py_XDECREF(linecache);
    return lines;
}

/* The source line without its indentation; "" when it cannot be had. */
static char *source_line(PyObject *lines, PyObject *file, int line)
{
    PyObject *text = lines == NULL ? NULL : PyObject_CallFunction(lines, "Oi", file, line);
    PyObject *bare = text == NULL ? NULL : PyObject_CallMethod(text, "strip", NULL);
    char *copy = bare != NULL ? bine__text_of(bare) : bine__copy_text("");

    PyErr_Clear();
    Py_XDECREF(bare);
    Py_XDECREF(text);
    return copy;
}

/* ---- the list ---- */

static int make_room(bine__framelist *list)
{
    size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
    bine_frame *frames;

    if (list->count < list->capacity)
        return 0;
    frames = realloc(list->frames, capacity * sizeof *frames);
    if (frames == NULL)
        return -1;
    list->frames = frames;
    list->capacity = capacity;
    return 0;
}

static void free_frame(const bine_frame *frame)
{
    free((char *)(uintptr_t)frame->file);
    free((char *)(uintptr_t)frame->function);
    free((char *)(uintptr_t)frame->source);
}

int bine__framelist_add(bine__framelist *list, PyCodeObject *code, int line, PyObject *lines)
{
    bine_frame frame = {.line = line};

    if (make_room(list) != 0)
        return -1;
    frame.file = bine__text_of(code->co_filename);
    frame.function = bine__text_of(code->co_qualname);
    frame.source = source_line(lines, code->co_filename, line);
    if (frame.file == NULL || frame.function == NULL || frame.source == NULL) {
        free_frame(&frame);
        return -1;
    }
    list->frames[list->count] = frame;
    list->count++;
    return 0;
}

void bine__framelist_clear(bine__framelist *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_frame(&list->frames[i]);
    free(list->frames);
    *list = (bine__framelist){0};
}
