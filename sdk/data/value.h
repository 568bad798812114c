/* Values, for the files of sdk: sharing, and what the Python bridge needs. Thread: any. */
#ifndef BINE_DATA_VALUE_H
#define BINE_DATA_VALUE_H

#include <bine/value.h>

/* One more hold on the same value, which is read-only from now on. Ends with bine_value_free(). */
bine_value *bine__value_share(bine_value *v);

/* Whether nobody else has a hold on it. */
bool bine__value_unshared(const bine_value *v);

/* A value of kind BINE_POINTER or BINE_OBJECT; `destroy` is called at once when memory is out. */
bine_value *bine__value_holder(bine_kind kind, void *address, const char *type, bine_free destroy);

/* What a BINE_POINTER or BINE_OBJECT holds; the type of the former. */
void *bine__value_held(const bine_value *v);
const char *bine__value_pointer_type(const bine_value *v);

#endif
