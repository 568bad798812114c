/* Values: trees of data, without any runtime. */
#include "fixture.h"

#include "data/value.h"

#include <stdatomic.h>

static atomic_size_t destroyed;

static void destroy(void *pointer)
{
    CHECK(pointer == &destroyed);
    atomic_fetch_add(&destroyed, 1);
}

static bine_value *pointer(void)
{
    return bine_value_pointer(&destroyed, "thing", destroy);
}

TEST(scalars_read_back_as_they_were_made)
{
    bine_value *i = bine_value_i64(INT64_MIN);
    bine_value *f = bine_value_f64(-0.5);

    CHECK_EQ(bine_value_kind(bine_value_nil()), BINE_NIL);
    CHECK_EQ(bine_value_kind(bine_value_bool(true)), BINE_BOOL);
    CHECK(bine_value_as_bool(bine_value_bool(true)));
    CHECK(!bine_value_as_bool(bine_value_bool(false)));
    CHECK_EQ(bine_value_kind(i), BINE_I64);
    CHECK_EQ(bine_value_as_i64(i), INT64_MIN);
    CHECK_EQ(bine_value_kind(f), BINE_F64);
    CHECK(bine_value_as_f64(f) == -0.5);
    bine_value_free(i);
    bine_value_free(f);
    bine_value_free(bine_value_nil());
    bine_value_free(bine_value_bool(true));
    CHECK(bine_value_as_bool(bine_value_bool(true)));
}

TEST(text_and_bytes_are_copied_with_a_nul_behind)
{
    char text[] = "caf\xc3\xa9";
    bine_value *s = bine_value_str(text);
    bine_value *z = bine_value_str_sized("a\0b", 3);
    bine_value *b = bine_value_bytes("\0\xff", 2);
    bine_value *e = bine_value_bytes(NULL, 0);
    size_t size = 99;

    text[0] = 'x';
    CHECK_STR(bine_value_as_str(s, &size), "caf\xc3\xa9");
    CHECK_EQ(size, 5);
    CHECK(memcmp(bine_value_as_str(z, &size), "a\0b", 4) == 0);
    CHECK_EQ(size, 3);
    CHECK(memcmp(bine_value_as_bytes(b, &size), "\0\xff", 3) == 0);
    CHECK_EQ(size, 2);
    CHECK(bine_value_as_bytes(e, &size) != NULL);
    CHECK_EQ(size, 0);
    CHECK(bine_value_as_str(s, NULL) != NULL);
    bine_value_free(s);
    bine_value_free(z);
    bine_value_free(b);
    bine_value_free(e);
}

TEST(a_value_of_another_kind_reads_as_nothing)
{
    bine_value *all[] = {bine_value_nil(),    bine_value_bool(true),  bine_value_i64(7),
                         bine_value_f64(2.5), bine_value_str("text"), bine_value_bytes("data", 4),
                         bine_value_list(),   bine_value_dict(),      pointer()};

    CHECK_OK(bine_value_append(all[6], bine_value_nil()));
    CHECK_OK(bine_value_set(all[7], "key", bine_value_nil()));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const bine_value *v = all[i];
        bine_kind kind = bine_value_kind(v);
        size_t size = 99;

        CHECK_EQ(kind, i);
        CHECK(kind == BINE_BOOL || !bine_value_as_bool(v));
        CHECK(kind == BINE_I64 || bine_value_as_i64(v) == 0);
        CHECK(kind == BINE_I64 || kind == BINE_F64 || bine_value_as_f64(v) == 0.0);
        CHECK(kind == BINE_STR || (bine_value_as_str(v, &size) == NULL && size == 0));
        size = 99;
        CHECK(kind == BINE_BYTES || (bine_value_as_bytes(v, &size) == NULL && size == 0));
        CHECK(kind == BINE_POINTER || bine_value_as_pointer(v, "thing") == NULL);
        CHECK(kind == BINE_LIST || kind == BINE_DICT || bine_value_count(v) == 0);
        CHECK(kind == BINE_LIST || kind == BINE_DICT || bine_value_at(v, 0) == NULL);
        CHECK(kind == BINE_DICT || bine_value_get(v, "key") == NULL);
        CHECK(kind == BINE_DICT || bine_value_key(v, 0) == NULL);
        bine_value_free(all[i]);
    }
    CHECK_EQ(atomic_load(&destroyed), 1);
}

TEST(an_integer_reads_as_a_float_too)
{
    bine_value *v = bine_value_i64(-3);

    CHECK(bine_value_as_f64(v) == -3.0);
    bine_value_free(v);
}

TEST(null_reads_as_nothing)
{
    CHECK_EQ(bine_value_kind(NULL), BINE_NIL);
    CHECK(!bine_value_as_bool(NULL));
    CHECK_EQ(bine_value_as_i64(NULL), 0);
    CHECK(bine_value_as_f64(NULL) == 0.0);
    CHECK(bine_value_as_str(NULL, NULL) == NULL);
    CHECK(bine_value_as_bytes(NULL, NULL) == NULL);
    CHECK(bine_value_as_pointer(NULL, NULL) == NULL);
    CHECK_EQ(bine_value_count(NULL), 0);
    CHECK(bine_value_at(NULL, 0) == NULL);
    CHECK(bine_value_get(NULL, "x") == NULL);
    CHECK(bine_value_key(NULL, 0) == NULL);
    bine_value_free(NULL);
}

/* ---- no memory ---- */

TEST(a_missing_item_passes_through_nested_calls_and_frees_the_rest)
{
    bine_value *list = bine_value_list();
    bine_value *dict = bine_value_dict();

    CHECK_STATUS(bine_value_append(list, NULL), BINE_ENOMEM);
    CHECK_STATUS(bine_value_append(NULL, pointer()), BINE_ENOMEM);
    CHECK_STATUS(bine_value_set(dict, "k", NULL), BINE_ENOMEM);
    CHECK_STATUS(bine_value_set(NULL, "k", pointer()), BINE_ENOMEM);
    CHECK_STATUS(bine_value_append(NULL, NULL), BINE_ENOMEM);
    CHECK_EQ(atomic_load(&destroyed), 2);
    CHECK_EQ(bine_value_count(list) + bine_value_count(dict), 0);
    bine_value_free(list);
    bine_value_free(dict);
}

TEST(what_no_memory_can_hold_is_null)
{
    CHECK(bine_value_str(NULL) == NULL);
    CHECK(bine_value_str_sized(NULL, 1) == NULL);
    CHECK(bine_value_bytes("x", SIZE_MAX) == NULL);
    CHECK(bine_value_bytes("x", SIZE_MAX - 8) == NULL);
}

/* ---- lists ---- */

TEST(a_list_keeps_its_order)
{
    bine_value *list = bine_value_list();

    for (int64_t i = 0; i < 1000; i++)
        CHECK_OK(bine_value_append(list, bine_value_i64(i)));
    CHECK_EQ(bine_value_count(list), 1000);
    for (size_t i = 0; i < 1000; i++)
        CHECK_EQ(bine_value_as_i64(bine_value_at(list, i)), i);
    CHECK(bine_value_at(list, 1000) == NULL);
    CHECK(bine_value_at(list, SIZE_MAX) == NULL);
    bine_value_free(list);
}

TEST(a_wrong_container_frees_the_item)
{
    bine_value *list = bine_value_list();
    bine_value *dict = bine_value_dict();

    CHECK_STATUS(bine_value_append(dict, pointer()), BINE_ETYPE);
    CHECK_STATUS(bine_value_set(list, "k", pointer()), BINE_ETYPE);
    CHECK_STATUS(bine_value_append(bine_value_nil(), pointer()), BINE_ETYPE);
    CHECK_STATUS(bine_value_set(dict, NULL, pointer()), BINE_EINVAL);
    CHECK_EQ(atomic_load(&destroyed), 4);
    bine_value_free(list);
    bine_value_free(dict);
}

TEST(a_value_cannot_contain_itself)
{
    bine_value *list = bine_value_list();
    bine_value *dict = bine_value_dict();

    CHECK_STATUS(bine_value_append(list, list), BINE_EINVAL);
    CHECK_STATUS(bine_value_set(dict, "me", dict), BINE_EINVAL);
    CHECK_OK(bine_value_append(list, bine_value_nil())); /* both are still there */
    CHECK_OK(bine_value_set(dict, "x", list));
    CHECK_EQ(bine_value_count(bine_value_get(dict, "x")), 1);
    bine_value_free(dict);
}

/* ---- dicts ---- */

static const char *key(int i)
{
    static char text[32];

    snprintf(text, sizeof text, "key %d", i * 7919 % 10007);
    return text;
}

TEST(a_dict_with_ten_thousand_keys_finds_each_and_keeps_their_order)
{
    enum { COUNT = 10000 };
    bine_value *dict = bine_value_dict();

    for (int i = 0; i < COUNT; i++)
        CHECK_OK(bine_value_set(dict, key(i), bine_value_i64(i)));
    CHECK_EQ(bine_value_count(dict), COUNT);
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(bine_value_as_i64(bine_value_get(dict, key(i))), i);
        CHECK_STR(bine_value_key(dict, (size_t)i), key(i));
        CHECK_EQ(bine_value_as_i64(bine_value_at(dict, (size_t)i)), i);
    }
    CHECK(bine_value_get(dict, "key") == NULL);
    CHECK(bine_value_get(dict, "") == NULL);
    CHECK(bine_value_get(dict, NULL) == NULL);
    CHECK(bine_value_key(dict, COUNT) == NULL);
    bine_value_free(dict);
}

TEST(a_key_set_again_keeps_its_place_and_frees_the_old_item)
{
    for (int keys = 3; keys <= 300; keys *= 10) { /* without and with a table */
        bine_value *dict = bine_value_dict();

        atomic_store(&destroyed, 0);
        for (int i = 0; i < keys; i++)
            CHECK_OK(bine_value_set(dict, key(i), pointer()));
        CHECK_OK(bine_value_set(dict, key(1), bine_value_str("new")));
        CHECK_EQ(atomic_load(&destroyed), 1);
        CHECK_EQ(bine_value_count(dict), keys);
        CHECK_STR(bine_value_key(dict, 1), key(1));
        CHECK_STR(bine_value_as_str(bine_value_at(dict, 1), NULL), "new");
        bine_value_free(dict);
        CHECK_EQ(atomic_load(&destroyed), keys);
    }
}

/* Looks at the dict that it is just being thrown out of, and makes it larger. */
static void meddle(void *dict)
{
    CHECK_EQ(bine_value_as_i64(bine_value_get(dict, "key")), 2);
    for (int i = 0; i < 100; i++) {
        char key[16];

        snprintf(key, sizeof key, "key %d", i);
        CHECK_OK(bine_value_set(dict, key, bine_value_i64(i)));
    }
}

TEST(what_a_key_loses_may_use_the_dict_as_it_goes)
{
    bine_value *dict = bine_value_dict();

    CHECK_OK(bine_value_set(dict, "key", bine_value_pointer(dict, "dict", meddle)));
    CHECK_OK(bine_value_set(dict, "key", bine_value_i64(2)));
    CHECK_EQ(bine_value_as_i64(bine_value_get(dict, "key")), 2);
    CHECK_EQ(bine_value_count(dict), 101);
    bine_value_free(dict);
}

TEST(keys_are_copied)
{
    char name[] = "name";
    bine_value *dict = bine_value_dict();

    CHECK_OK(bine_value_set(dict, name, bine_value_i64(1)));
    memset(name, 'x', 4);
    CHECK_EQ(bine_value_as_i64(bine_value_get(dict, "name")), 1);
    CHECK_OK(bine_value_set(dict, "", bine_value_i64(2))); /* a key like any other */
    CHECK_EQ(bine_value_as_i64(bine_value_get(dict, "")), 2);
    bine_value_free(dict);
}

/* ---- depth ---- */

enum { DEEP = 1000000 };

TEST(a_million_nested_lists_are_freed_without_recursion)
{
    bine_value *root = pointer();

    for (int i = 0; i < DEEP; i++) {
        bine_value *list = bine_value_list();

        CHECK_OK(bine_value_append(list, root));
        root = list;
    }
    bine_value_free(root);
    CHECK_EQ(atomic_load(&destroyed), 1);
}

TEST(a_million_nested_dicts_are_freed_without_recursion)
{
    bine_value *root = pointer();

    for (int i = 0; i < DEEP; i++) {
        bine_value *dict = bine_value_dict();

        CHECK_OK(bine_value_set(dict, "down", root));
        root = dict;
    }
    bine_value_free(root);
    CHECK_EQ(atomic_load(&destroyed), 1);
}

/* ---- sharing ---- */

TEST(a_shared_value_is_read_only_until_the_other_hold_goes)
{
    bine_value *list = bine_value_list();
    bine_value *dict = bine_value_dict();
    bine_value *share = bine__value_share(list);

    CHECK(share == list);
    CHECK_STATUS(bine_value_append(list, pointer()), BINE_EINVAL);
    CHECK_HAS(bine_message(), "shared");
    bine__value_share(dict);
    CHECK_STATUS(bine_value_set(dict, "k", pointer()), BINE_EINVAL);
    CHECK_EQ(atomic_load(&destroyed), 2);
    bine_value_free(share);
    CHECK_OK(bine_value_append(list, pointer()));
    bine_value_free(dict);
    bine_value_free(dict);
    bine_value_free(list);
    CHECK_EQ(atomic_load(&destroyed), 3);
}

TEST(a_shared_item_outlives_its_container)
{
    bine_value *item = pointer();
    bine_value *list = bine_value_list();

    bine__value_share(item);
    CHECK_OK(bine_value_append(list, item));
    bine_value_free(list);
    CHECK_EQ(atomic_load(&destroyed), 0);
    CHECK(bine_value_as_pointer(item, "thing") == &destroyed);
    bine_value_free(item);
    CHECK_EQ(atomic_load(&destroyed), 1);
}

static bine_value *shared;

static void drop_shared(size_t index)
{
    (void)index;
    for (int i = 0; i < 1000; i++)
        bine_value_free(shared);
}

TEST(eight_threads_drop_a_shared_value_and_it_goes_once)
{
    shared = bine_value_list();
    CHECK_OK(bine_value_append(shared, pointer()));
    for (int i = 1; i < 8 * 1000; i++)
        bine__value_share(shared);
    in_threads(8, drop_shared);
    CHECK_EQ(atomic_load(&destroyed), 1);
}

/* ---- pointers ---- */

TEST(a_pointer_reads_back_under_its_own_type_only)
{
    char same[] = "thing"; /* compared as text */
    bine_value *v = pointer();
    bine_value *untyped = bine_value_pointer(&destroyed, NULL, NULL);

    CHECK(bine_value_as_pointer(v, same) == &destroyed);
    CHECK(bine_value_as_pointer(v, "door") == NULL);
    CHECK(bine_value_as_pointer(v, NULL) == NULL);
    CHECK(bine_value_as_pointer(untyped, NULL) == &destroyed);
    CHECK(bine_value_as_pointer(untyped, "thing") == NULL);
    bine_value_free(v);
    bine_value_free(untyped);
    CHECK_EQ(atomic_load(&destroyed), 1);
}

TEST(a_pointer_that_goes_to_python_is_destroyed_with_its_last_holder)
{
    bine *rt = open_runtime();
    bine_value *args = bine_value_list();

    run_script(rt, "import sys\n"
                   "class Keep:\n"
                   "    def __call__(self, x): self.x = x; self.type = type(x).__name__\n"
                   "    def drop(self): del self.x\n"
                   "sys.modules['keep'] = keep = Keep()\n"
                   "keep.take = keep\n");
    CHECK_OK(bine_value_append(args, pointer()));
    CHECK_OK(bine_spawn_named(rt, "keep", "take", args, NULL));
    settle(rt);
    CHECK_STR(script_str("keep.type"), "PyCapsule");
    CHECK_EQ(atomic_load(&destroyed), 0);
    CHECK_OK(bine_spawn_named(rt, "keep", "drop", NULL, NULL));
    settle(rt);
    CHECK_EQ(atomic_load(&destroyed), 1);
    close_runtime(rt);
}

TEST(a_pointer_that_a_script_keeps_is_destroyed_at_the_close)
{
    bine *rt = open_runtime();
    bine_value *args = bine_value_list();

    run_script(rt, "import sys\n"
                   "sys.modules['keep'] = type('Keep', (), {'take': [].append})\n");
    CHECK_OK(bine_value_append(args, pointer()));
    CHECK_OK(bine_spawn_named(rt, "keep", "take", args, NULL));
    settle(rt);
    CHECK_EQ(atomic_load(&destroyed), 0);
    close_runtime(rt);
    CHECK_EQ(atomic_load(&destroyed), 1);
}

TEST(a_retained_value_lives_until_its_last_hold_goes)
{
    bine_value *list = bine_value_list();
    bine_value *again;

    CHECK_OK(bine_value_append(list, bine_value_i64(4)));
    again = bine_value_retain(list);
    CHECK(again == list);
    CHECK_STATUS(bine_value_append(list, bine_value_i64(5)), BINE_EINVAL); /* shared: read-only */
    bine_value_free(list);
    CHECK_EQ(bine_value_as_i64(bine_value_at(again, 0)), 4);
    bine_value_free(again);
    CHECK(bine_value_retain(NULL) == NULL);
}
