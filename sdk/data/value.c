/* Values: small trees of data, made and freed on any thread. A container of its own memory:
 * no runtime, no Python. */
#include "data/value.h"

#include "core/runtime.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A dict with more entries than this finds its keys by a hash table. */
#define LINEAR_MAX 8

typedef struct entry {
    char *key;
    bine_value *item;
} entry;

typedef struct sequence {
    bine_value **items;
    size_t count;
    size_t capacity;
} sequence;

typedef struct mapping {
    entry *entries;
    size_t count;
    size_t capacity;
    size_t *table; /* entry index + 1, 0: free; NULL while small */
    size_t mask;
} mapping;

typedef struct pointer {
    void *address;
    const char *type;
    bine_free destroy;
} pointer;

struct bine_value {
    bine_kind kind;
    atomic_uint holds; /* a settled deferred shares its value with those who waited */
    size_t size;       /* of text and bytes */
    union {
        bool b;
        int64_t i;
        double f;
        char *bytes; /* just behind the struct, NUL-terminated */
        sequence list;
        mapping dict;
        pointer pointer;
    } as;
};

/* These are never counted nor freed. */
static bine_value nil_value = {.kind = BINE_NIL};
static bine_value bool_values[2] = {{.kind = BINE_BOOL, .as.b = false}, {.kind = BINE_BOOL, .as.b = true}};

static bine_value *new_value(bine_kind kind, size_t extra)
{
    bine_value *v = malloc(sizeof *v + extra);

    if (v == NULL)
        return NULL;
    memset(v, 0, sizeof *v);
    v->kind = kind;
    atomic_init(&v->holds, 1);
    return v;
}

bine_value *bine_value_nil(void)
{
    return &nil_value;
}

bine_value *bine_value_bool(bool b)
{
    return &bool_values[b];
}

bine_value *bine_value_i64(int64_t i)
{
    bine_value *v = new_value(BINE_I64, 0);

    if (v != NULL)
        v->as.i = i;
    return v;
}

bine_value *bine_value_f64(double f)
{
    bine_value *v = new_value(BINE_F64, 0);

    if (v != NULL)
        v->as.f = f;
    return v;
}

static bine_value *new_bytes(bine_kind kind, const void *data, size_t size)
{
    bine_value *v;

    if (data == NULL && size > 0)
        return NULL;
    if (size > SIZE_MAX - sizeof *v - 1)
        return NULL;
    v = new_value(kind, size + 1);
    if (v == NULL)
        return NULL;
    v->size = size;
    v->as.bytes = (char *)(v + 1);
    if (size > 0)
        memcpy(v->as.bytes, data, size);
    v->as.bytes[size] = '\0';
    return v;
}

bine_value *bine_value_str(const char *text)
{
    return text == NULL ? NULL : new_bytes(BINE_STR, text, strlen(text));
}

bine_value *bine_value_str_sized(const char *text, size_t size)
{
    return new_bytes(BINE_STR, text, size);
}

bine_value *bine_value_bytes(const void *data, size_t size)
{
    return new_bytes(BINE_BYTES, data, size);
}

bine_value *bine_value_list(void)
{
    return new_value(BINE_LIST, 0);
}

bine_value *bine_value_dict(void)
{
    return new_value(BINE_DICT, 0);
}

bine_value *bine__value_holder(bine_kind kind, void *address, const char *type, bine_free destroy)
{
    bine_value *v = new_value(kind, 0);

    if (v == NULL) {
        if (destroy != NULL)
            destroy(address);
        return NULL;
    }
    v->as.pointer = (pointer){.address = address, .type = type, .destroy = destroy};
    return v;
}

bine_value *bine_value_pointer(void *address, const char *type, bine_free destroy)
{
    return bine__value_holder(BINE_POINTER, address, type, destroy);
}

/* ---- containers ---- */

/* Room for one more of `size` bytes each. */
static int reserve(void **array, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = count == 0 ? 4 : count * 2;
    void *grown;

    if (count < *capacity)
        return BINE_OK;
    grown = realloc(*array, wanted * size);
    if (grown == NULL)
        return BINE_ENOMEM;
    *array = grown;
    *capacity = wanted;
    return BINE_OK;
}

/* Whether `container` may take something in; shared values are read-only. */
static int check_container(const bine_value *container, bine_kind kind, const bine_value *item,
                           const char *call)
{
    if (container == NULL || item == NULL)
        return bine__fail(BINE_ENOMEM, "%s: out of memory for a value", call);
    if (container->kind != kind)
        return bine__fail(BINE_ETYPE, "%s: the value is no %s", call, kind == BINE_LIST ? "list" : "dict");
    if (container == item)
        return bine__fail(BINE_EINVAL, "%s: a value cannot contain itself", call);
    if (atomic_load_explicit(&container->holds, memory_order_relaxed) != 1)
        return bine__fail(BINE_EINVAL, "%s: the value is shared by now, and read-only", call);
    return BINE_OK;
}

static int append(sequence *list, bine_value *item)
{
    void *items = list->items;

    if (reserve(&items, list->count, &list->capacity, sizeof(bine_value *)) != BINE_OK)
        return bine__fail(BINE_ENOMEM, "bine_value_append: out of memory");
    list->items = items;
    list->items[list->count++] = item;
    return BINE_OK;
}

int bine_value_append(bine_value *list, bine_value *item)
{
    int status = check_container(list, BINE_LIST, item, "bine_value_append");

    if (status == BINE_OK)
        status = append(&list->as.list, item);
    if (status != BINE_OK && item != list)
        bine_value_free(item);
    return status;
}

/* FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
static size_t hash(const char *key)
{
    uint64_t h = 14695981039346656037u;

    for (; *key != '\0'; key++)
        h = (h ^ (unsigned char)*key) * 1099511628211u;
    return (size_t)h;
}

static entry *find(const mapping *dict, const char *key)
{
    if (dict->table == NULL) {
        for (size_t i = 0; i < dict->count; i++)
            if (strcmp(dict->entries[i].key, key) == 0)
                return &dict->entries[i];
        return NULL;
    }
    for (size_t i = hash(key) & dict->mask; dict->table[i] != 0; i = (i + 1) & dict->mask) {
        entry *e = &dict->entries[dict->table[i] - 1];

        if (strcmp(e->key, key) == 0)
            return e;
    }
    return NULL;
}

static void index_entry(mapping *dict, size_t index)
{
    size_t i = hash(dict->entries[index].key) & dict->mask;

    while (dict->table[i] != 0)
        i = (i + 1) & dict->mask;
    dict->table[i] = index + 1;
}

/* Keeps the table at most half full. */
static int reindex(mapping *dict)
{
    size_t slots = 32;
    size_t *table;

    while (slots < dict->count * 4)
        slots *= 2;
    table = calloc(slots, sizeof *table);
    if (table == NULL)
        return BINE_ENOMEM;
    free(dict->table);
    dict->table = table;
    dict->mask = slots - 1;
    for (size_t i = 0; i < dict->count; i++)
        index_entry(dict, i);
    return BINE_OK;
}

static int add(mapping *dict, const char *key, bine_value *item)
{
    void *entries = dict->entries;
    char *copy;

    if (reserve(&entries, dict->count, &dict->capacity, sizeof(entry)) != BINE_OK)
        return BINE_ENOMEM;
    dict->entries = entries;
    copy = strdup(key);
    if (copy == NULL)
        return BINE_ENOMEM;
    dict->entries[dict->count++] = (entry){copy, item};
    if (dict->table != NULL && dict->count * 2 <= dict->mask + 1) {
        index_entry(dict, dict->count - 1);
        return BINE_OK;
    }
    if (dict->count <= LINEAR_MAX || reindex(dict) == BINE_OK)
        return BINE_OK;
    dict->count--;
    free(copy);
    return BINE_ENOMEM;
}

int bine_value_set(bine_value *dict, const char *key, bine_value *item)
{
    int status = check_container(dict, BINE_DICT, item, "bine_value_set");
    entry *e;

    if (status == BINE_OK && key == NULL)
        status = bine__fail(BINE_EINVAL, "bine_value_set: the key is NULL");
    if (status != BINE_OK || key == NULL) {
        if (item != dict)
            bine_value_free(item);
        return status;
    }
    e = find(&dict->as.dict, key);
    if (e != NULL) {
        bine_value *old = e->item;

        e->item = item;
        bine_value_free(old); /* its destructor may look at the dict, or set more: `e` is over */
        return BINE_OK;
    }
    if (add(&dict->as.dict, key, item) == BINE_OK)
        return BINE_OK;
    bine_value_free(item);
    return bine__fail(BINE_ENOMEM, "bine_value_set: out of memory");
}

/* ---- reading ---- */

bine_kind bine_value_kind(const bine_value *v)
{
    return v == NULL ? BINE_NIL : v->kind;
}

static bool is(const bine_value *v, bine_kind kind)
{
    return v != NULL && v->kind == kind;
}

bool bine_value_as_bool(const bine_value *v)
{
    return is(v, BINE_BOOL) && v->as.b;
}

int64_t bine_value_as_i64(const bine_value *v)
{
    return is(v, BINE_I64) ? v->as.i : 0;
}

double bine_value_as_f64(const bine_value *v)
{
    if (is(v, BINE_I64))
        return (double)v->as.i;
    return is(v, BINE_F64) ? v->as.f : 0.0;
}

static const char *read_bytes(const bine_value *v, bine_kind kind, size_t *size)
{
    bool right = is(v, kind);

    if (size != NULL)
        *size = right ? v->size : 0;
    return right ? v->as.bytes : NULL;
}

const char *bine_value_as_str(const bine_value *v, size_t *size)
{
    return read_bytes(v, BINE_STR, size);
}

const void *bine_value_as_bytes(const bine_value *v, size_t *size)
{
    return read_bytes(v, BINE_BYTES, size);
}

static bool same_type(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

void *bine_value_as_pointer(const bine_value *v, const char *type)
{
    return is(v, BINE_POINTER) && same_type(v->as.pointer.type, type) ? v->as.pointer.address : NULL;
}

void *bine__value_held(const bine_value *v)
{
    return v->as.pointer.address;
}

const char *bine__value_pointer_type(const bine_value *v)
{
    return v->as.pointer.type;
}

size_t bine_value_count(const bine_value *v)
{
    if (is(v, BINE_LIST))
        return v->as.list.count;
    return is(v, BINE_DICT) ? v->as.dict.count : 0;
}

const bine_value *bine_value_at(const bine_value *v, size_t index)
{
    if (index >= bine_value_count(v))
        return NULL;
    return v->kind == BINE_LIST ? v->as.list.items[index] : v->as.dict.entries[index].item;
}

const bine_value *bine_value_get(const bine_value *dict, const char *key)
{
    const entry *e = is(dict, BINE_DICT) && key != NULL ? find(&dict->as.dict, key) : NULL;

    return e == NULL ? NULL : e->item;
}

const char *bine_value_key(const bine_value *dict, size_t index)
{
    return is(dict, BINE_DICT) && index < dict->as.dict.count ? dict->as.dict.entries[index].key : NULL;
}

/* ---- holding and freeing ---- */

static bool is_static(const bine_value *v)
{
    return v->kind == BINE_NIL || v->kind == BINE_BOOL;
}

bine_value *bine__value_share(bine_value *v)
{
    if (!is_static(v))
        atomic_fetch_add_explicit(&v->holds, 1, memory_order_relaxed);
    return v;
}

bine_value *bine_value_retain(const bine_value *v)
{
    return v == NULL ? NULL : bine__value_share((bine_value *)(uintptr_t)v);
}

bool bine__value_unshared(const bine_value *v)
{
    return !is_static(v) && atomic_load_explicit(&v->holds, memory_order_acquire) == 1;
}

static bool drop_hold(bine_value *v)
{
    if (is_static(v))
        return false;
    /* Who has the only hold needs no locked instruction to see it. */
    return atomic_load_explicit(&v->holds, memory_order_acquire) == 1 ||
           atomic_fetch_sub_explicit(&v->holds, 1, memory_order_acq_rel) == 1;
}

/* The list of values to free is threaded through their `size` field's place. */
static bine_value *chain(bine_value *v, bine_value *todo)
{
    if (!drop_hold(v))
        return todo;
    v->size = (size_t)(uintptr_t)todo;
    return v;
}

/* Hands the items of a container to `todo` instead of descending: a deep tree must not
 * overflow the stack of the thread that drops it. Returns the new head of the list. */
static bine_value *unpack(bine_value *v, bine_value *todo)
{
    size_t count = bine_value_count(v);

    for (size_t i = 0; i < count; i++) {
        if (v->kind == BINE_LIST) {
            todo = chain(v->as.list.items[i], todo);
        } else {
            free(v->as.dict.entries[i].key);
            todo = chain(v->as.dict.entries[i].item, todo);
        }
    }
    if (v->kind == BINE_LIST)
        free(v->as.list.items);
    if (v->kind == BINE_DICT) {
        free(v->as.dict.entries);
        free(v->as.dict.table);
    }
    return todo;
}

void bine_value_free(bine_value *v)
{
    bine_value *todo = v == NULL ? NULL : chain(v, NULL);

    while (todo != NULL) {
        bine_value *dead = todo;

        todo = unpack(dead, (bine_value *)(uintptr_t)dead->size);
        if ((dead->kind == BINE_POINTER || dead->kind == BINE_OBJECT) && dead->as.pointer.destroy != NULL)
            dead->as.pointer.destroy(dead->as.pointer.address);
        free(dead);
    }
}
