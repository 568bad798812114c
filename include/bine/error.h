/* Errors of scripts, as data.
 *
 * A script's exception never leaves bine_tick(). It goes, exactly once, to whoever joins the
 * micro-thread, or else to bine_config.on_unhandled as a bine_error. */
#ifndef BINE_ERROR_H
#define BINE_ERROR_H

#include <bine/common.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bine_frame {
    const char *file;
    int line;             /* 1-based, 0 when unknown */
    const char *function; /* qualified where Python knows it so */
    const char *source;   /* the line's text without indentation, "" when it cannot be had */
} bine_frame;

/* Read-only; every pointer lives as long as the error. Text is never NULL. */
struct bine_error {
    int code;            /* BINE_ESCRIPT, or what a deferred was rejected with */
    const char *type;    /* "ZeroDivisionError"; with its module when not a builtin */
    const char *message; /* str() of the exception */

    const bine_frame *frames; /* outermost call first, as in a traceback */
    size_t frame_count;

    const bine_error *cause; /* what it was raised from, or while handling; NULL: nothing */
    bool cause_is_context;   /* false: `raise ... from cause`; true: raised while handling it */

    const bine_error *const *group; /* the members of an ExceptionGroup, in their order */
    size_t group_count;

    const char *micro_name; /* the micro-thread it ended, "" for none */
    const char *spawn_file; /* where that was spawned, "" when by the host */
    int spawn_line;

    const char *text; /* all of it, as Python would print it, newline at the end; of a cause or a member:
                         itself alone */
};

/* Frees an error that a function gave out as new. NULL is fine. Thread: any. */
BINE_API void bine_error_free(bine_error *error);

/* Writes `text` and, where there is one, the spawn site. Thread: any. */
BINE_API void bine_error_print(const bine_error *error, FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
