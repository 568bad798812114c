/* Values: data on its way between C and Python.
 *
 * A value is a small tree with one owner, made and freed on any thread without the
 * interpreter. A container takes what is put into it. In Python a value appears as None,
 * bool, int, float, str, bytes, list, dict; a pointer appears as an opaque capsule that a
 * script can hold and hand back, and whose destructor runs when the last holder lets go.
 *
 * Constructors return NULL when memory is out, and every function that takes a value accepts
 * NULL as "there was no memory for it": it frees what else it took and says BINE_ENOMEM. So
 * calls can be nested and the status be looked at once, at the end. */
#ifndef BINE_VALUE_H
#define BINE_VALUE_H

#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bine_kind {
    BINE_NIL,
    BINE_BOOL,
    BINE_I64,
    BINE_F64,
    BINE_STR,
    BINE_BYTES,
    BINE_LIST,
    BINE_DICT,
    BINE_POINTER,
    BINE_OBJECT /* a Python object: see bine/python.h */
} bine_kind;

/* New values. Thread: any. Text and bytes are copied; `size` in bytes. bine_value_str()
 * takes text up to its NUL; text must be valid UTF-8, or Python will raise on arrival. */
BINE_API bine_value *bine_value_nil(void);
BINE_API bine_value *bine_value_bool(bool b);
BINE_API bine_value *bine_value_i64(int64_t i);
BINE_API bine_value *bine_value_f64(double f);
BINE_API bine_value *bine_value_str(const char *text);
BINE_API bine_value *bine_value_str_sized(const char *text, size_t size);
BINE_API bine_value *bine_value_bytes(const void *data, size_t size);
BINE_API bine_value *bine_value_list(void);
BINE_API bine_value *bine_value_dict(void);

/* A pointer of the host's. `type` (static text, compared as text) names what it points to, so
 * that a script cannot pass a "door" where a "window" is due. `destroy` may be NULL; it is
 * called once, on the thread that drops the last hold: be ready for any. It is also called
 * at once when memory is out. */
BINE_API bine_value *bine_value_pointer(void *pointer, const char *type, bine_free destroy);

/* Appends `item` (taken) to a list. BINE_ETYPE: not a list. BINE_EINVAL: into itself, or the list
 * is shared by now. BINE_ENOMEM. Thread: the value's owner. */
BINE_API int bine_value_append(bine_value *list, bine_value *item);

/* Sets `key` (copied) to `item` (taken), in place of what was there. BINE_ETYPE: not a
 * dict; else as above. */
BINE_API int bine_value_set(bine_value *dict, const char *key, bine_value *item);

/* Reading. A value of another kind reads as 0, 0.0, false, NULL; f64 reads an i64 too.
 * Pointers returned are borrowed and live as long as the value. Text is NUL-terminated;
 * `size` may be NULL. Thread: any. */
BINE_API bine_kind bine_value_kind(const bine_value *v);
BINE_API bool bine_value_as_bool(const bine_value *v);
BINE_API int64_t bine_value_as_i64(const bine_value *v);
BINE_API double bine_value_as_f64(const bine_value *v);
BINE_API const char *bine_value_as_str(const bine_value *v, size_t *size);
BINE_API const void *bine_value_as_bytes(const bine_value *v, size_t *size);
BINE_API void *bine_value_as_pointer(const bine_value *v, const char *type);

/* How many items a list or dict has, else 0; the item at `index` or under `key`, NULL when
 * there is none; the index-th key of a dict, in the order they were first set. Thread: any. */
BINE_API size_t bine_value_count(const bine_value *v);
BINE_API const bine_value *bine_value_at(const bine_value *v, size_t index);
BINE_API const bine_value *bine_value_get(const bine_value *dict, const char *key);
BINE_API const char *bine_value_key(const bine_value *dict, size_t index);

/* One more hold on the same value, which is read-only from then on; each hold ends with bine_value_free().
 * NULL gives NULL. Thread: any. */
BINE_API bine_value *bine_value_retain(const bine_value *v);

/* Frees a value and all in it. NULL is fine. Thread: any. */
BINE_API void bine_value_free(bine_value *v);

#ifdef __cplusplus
}
#endif
#endif
