/* Pipes: values from one to another, in order, a bounded number at a time.
 *
 * bine_pipe_new() makes both ends. A writer puts, on whatever thread if it does not mean to
 * wait; a reader gets. Each end is counted: when the last hold on the writer's end goes, or it is closed,
 * readers get what is left and then the end; when the last hold on the reader's end goes, writers are told.
 *
 * Scripts know the same pipes as bine.Pipe, and the ends as bine.PipeWriter and bine.PipeReader: a host keeps
 * one end and hands a script the other, as a value. What a script puts, C gets as the data it comes to
 * (bine/value.h), or as a BINE_OBJECT; what a script's fail() ends it with, as BINE_ESCRIPT. */
#ifndef BINE_PIPE_H
#define BINE_PIPE_H

#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bine_writer bine_writer;
typedef struct bine_reader bine_reader;

#define BINE_UNBOUNDED SIZE_MAX

/* A new pipe that holds up to `capacity` values; with 0 a put is done when a reader takes its value.
 * Release both ends. BINE_EINVAL: w or r is NULL. BINE_ECLOSED: shutting down. BINE_ENOMEM. Thread: owner. */
BINE_API int bine_pipe_new(bine *rt, size_t capacity, bine_writer **w, bine_reader **r);

/* Puts a value (taken), waiting for room until `timeout_ns` is over (negative: no limit). What was not
 * put, whatever the reason, was not delivered, and has been freed.
 * BINE_EEND: the pipe was closed. BINE_EPIPE: no reader is left. BINE_ENOMEM: value is NULL, or so; and those
 * of bine_wait(). Thread: micro. */
BINE_API int bine_put(bine_writer *w, bine_value *value, int64_t timeout_ns);

/* The same without waiting. Values of one thread keep their order.
 * BINE_EAGAIN: no room; with capacity 0, no reader waits. BINE_ECLOSED: the runtime is closed. Thread: any.
 */
BINE_API int bine_try_put(bine_writer *w, bine_value *value);

/* No more puts: readers get what is left, and then BINE_EEND; or `code` (negative) with `message` (copied,
 * may be NULL). Writers that wait for room are refused with BINE_EEND. The first close counts. BINE_EINVAL.
 * Thread: any. */
BINE_API int bine_writer_close(bine_writer *w);
BINE_API int bine_writer_fail(bine_writer *w, int code, const char *message);

/* One more hold, one less; NULL is fine. Thread: any. */
BINE_API bine_writer *bine_writer_retain(bine_writer *w);
BINE_API void bine_writer_release(bine_writer *w);

/* Gets the next value (*value, new), waiting for it until `timeout_ns` is over (negative: no limit).
 * Readers are served in the order they came. BINE_EEND: closed and empty; or the code it failed with;
 * BINE_ENOMEM: it stays in the pipe; and those of bine_wait(). Thread: micro. */
BINE_API int bine_get(bine_reader *r, int64_t timeout_ns, bine_value **value);

/* The same without waiting. BINE_EAGAIN: empty. Thread: owner. */
BINE_API int bine_try_get(bine_reader *r, bine_value **value);

/* What the pipe was failed with as data; of a script's error all of it. NULL: it has not failed, or memory is
 * out. Borrowed, lives as long as the pipe. Thread: owner. */
BINE_API const bine_error *bine_reader_error(bine_reader *r);

/* One more hold, one less; NULL is fine. When the last one goes, what is left in the pipe is freed, and who
 * waits in bine_get() gets BINE_EEND. Thread: any. */
BINE_API bine_reader *bine_reader_retain(bine_reader *r);
BINE_API void bine_reader_release(bine_reader *r);

/* Values in the pipe. Thread: any. */
BINE_API size_t bine_reader_count(const bine_reader *r);

/* An end as a value (new): for bine_return(), or to find it in an argument. The hold is taken, also when
 * memory is out. A script sees a bine.PipeWriter or bine.PipeReader, with a hold of its own. Thread: any. */
BINE_API bine_value *bine_value_writer(bine_writer *w);
BINE_API bine_value *bine_value_reader(bine_reader *r);

/* The end that a value is, or NULL. Borrowed: retain it to keep it. Thread: any. */
BINE_API bine_writer *bine_value_as_writer(const bine_value *v);
BINE_API bine_reader *bine_value_as_reader(const bine_value *v);

#ifdef __cplusplus
}
#endif
#endif
