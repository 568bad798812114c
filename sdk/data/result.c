/* What deferreds are settled with, and the end of a deferred's block. Any thread. */
#include "data/deferred.h"
#include "data/value.h"

#include <stdlib.h>

bine__result bine__result_share(const bine__result *r)
{
    bine__result copy = {.state = r->state};

    if (r->value != NULL)
        copy.value = bine__value_share(r->value);
    if (r->message != NULL)
        copy.message = bine__value_share(r->message);
    return copy;
}

void bine__result_free(bine__result *r)
{
    bine_value_free(r->value);
    bine_value_free(r->message);
    *r = (bine__result){0};
}

bine__result bine__rejection(int code, const char *message)
{
    return (bine__result){.state = code, .message = message == NULL ? NULL : bine_value_str(message)};
}

const char *bine__result_message(const bine__result *r)
{
    return r->message == NULL ? "" : bine_value_as_str(r->message, NULL);
}

void bine__deferred_free(bine_deferred *d)
{
    bine__result_free(&d->settled);
    bine__result_free(&d->instead);
    if (d->error != NULL)
        bine_error_free(d->error);
    bine__inbox_release(d->inbox);
    free(d);
}
