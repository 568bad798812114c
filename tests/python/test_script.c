/* Scripts: files, strings and functions of modules. */
#include "fixture.h"

static char *folder;

static const char *path_of(const char *name)
{
    static char path[600];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_script(const char *name, const char *source)
{
    if (folder == NULL)
        folder = temporary_folder();
    write_file(folder, name, source, strlen(source));
}

static void run_file(bine *rt, const char *name)
{
    CHECK_OK(bine_run_file(rt, path_of(name), NULL));
    run_to_end(rt);
}

static void expect_error(const char *type)
{
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), type);
    forget_errors();
}

TEST(a_syntax_error_is_the_scripts_and_not_the_calls)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_run_string(rt, "def f(:", "broken", NULL));
    CHECK_EQ(error_count(), 0);
    settle(rt);
    CHECK_HAS(error_text(0), "File \"broken\", line 1");
    expect_error("SyntaxError");
    run_script(rt, "1");
    close_runtime(rt);
}

TEST(an_import_error_and_a_raise_are_reported)
{
    bine *rt = open_runtime();

    start_script(rt, "import no_such_module");
    settle(rt);
    expect_error("ModuleNotFoundError");
    start_script(rt, "def f(): raise KeyError('x')\nf()\n");
    settle(rt);
    CHECK_HAS(error_text(0), "line 1, in f");
    expect_error("KeyError");
    close_runtime(rt);
}

TEST(nothing_of_a_script_runs_before_the_next_tick)
{
    bine *rt = open_runtime();

    run_script(rt, "a = 0");
    CHECK_OK(bine_run_string(rt, "import __main__; __main__.a = 1", NULL, NULL));
    CHECK_EQ(script_int("a"), 0);
    settle(rt);
    CHECK_EQ(script_int("a"), 1);
    close_runtime(rt);
}

TEST(the_first_script_is_main_and_later_ones_have_names_of_their_own)
{
    bine *rt = open_runtime();

    run_script(rt, "import sys; me = 'first'; assert sys.modules['__main__'].me == me");
    run_script(rt, "import sys\n"
                   "assert __name__ == '__main__'\n"
                   "assert 'me' not in globals()\n"
                   "me = 'second'\n");
    CHECK_STR(script_str("me"), "first");
    close_runtime(rt);
}

TEST(a_file_knows_its_name_and_imports_from_its_folder)
{
    bine *rt = open_runtime();

    write_script("friend.py", "value = 7");
    write_script("main.py", "import friend\nseen = friend.value\nname = __file__\nmine = __name__\n");
    run_file(rt, "main.py");
    CHECK_EQ(script_int("seen"), 7);
    CHECK_STR(script_str("name"), path_of("main.py"));
    CHECK_STR(script_str("mine"), "__main__");
    close_runtime(rt);
    free(folder);
}

TEST(a_missing_file_is_an_io_error)
{
    bine *rt = open_runtime();
    bine_micro *micro = (bine_micro *)rt;

    CHECK_STATUS(bine_run_file(rt, "/no/such/script.py", &micro), BINE_EIO);
    CHECK(micro == NULL);
    CHECK_HAS(bine_message(), "/no/such/script.py");
    CHECK_HAS(bine_message(), "No such file");
    close_runtime(rt);
}

TEST(a_folder_is_no_script)
{
    bine *rt = open_runtime();
    bine_micro *micro = (bine_micro *)rt;

    CHECK_STATUS(bine_run_file(rt, "/usr", &micro), BINE_EIO);
    CHECK(micro == NULL);
    CHECK_HAS(bine_message(), "directory");
    close_runtime(rt);
}

TEST(null_texts_are_refused)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_run_string(rt, NULL, "x", NULL), BINE_EINVAL);
    CHECK_STATUS(bine_run_file(rt, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_spawn_named(rt, NULL, "f", NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_spawn_named(rt, "m", NULL, bine_value_list(), NULL), BINE_EINVAL);
    CHECK_STATUS(bine_run_string(NULL, "1", "x", NULL), BINE_EINVAL);
    close_runtime(rt);
}

TEST(source_that_is_no_utf8_is_a_syntax_error)
{
    bine *rt = open_runtime();

    write_script("latin.py", "a = '\xe9'\n");
    run_file(rt, "latin.py");
    expect_error("SyntaxError");
    CHECK_OK(bine_run_string(rt, "a = '\xe9'\n", "x", NULL));
    settle(rt);
    expect_error("SyntaxError");
    close_runtime(rt);
    free(folder);
}

TEST(a_coding_cookie_is_heeded)
{
    bine *rt = open_runtime();

    write_script("latin.py", "# -*- coding: latin-1 -*-\na = '\xe9'\n");
    run_file(rt, "latin.py");
    CHECK_STR(script_str("a"), "\xc3\xa9");
    close_runtime(rt);
    free(folder);
}

TEST(a_byte_order_mark_and_foreign_line_ends_are_taken)
{
    bine *rt = open_runtime();

    write_script("dos.py", "\xef\xbb\xbf"
                           "a = 1\r\nif a:\r\n    a = '\xc3\xa9'\r\n");
    run_file(rt, "dos.py");
    CHECK_STR(script_str("a"), "\xc3\xa9");
    close_runtime(rt);
    free(folder);
}

TEST(a_nul_in_the_source_is_an_error_of_the_script)
{
    bine *rt = open_runtime();

    folder = temporary_folder();
    write_file(folder, "nul.py", "a = 1\0b = 2\n", 12);
    CHECK_OK(bine_run_file(rt, path_of("nul.py"), NULL));
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_HAS(error_message(0), "null bytes");
    forget_errors();
    close_runtime(rt);
    free(folder);
}

TEST(an_empty_script_does_nothing)
{
    bine *rt = open_runtime();

    run_script(rt, "");
    write_script("empty.py", "");
    run_file(rt, "empty.py");
    close_runtime(rt);
    free(folder);
}

TEST(a_long_script_is_read_whole)
{
    enum { LINES = 30000 };
    bine *rt = open_runtime();
    char *source = malloc(LINES * 8 + 64);
    size_t size = 0;

    CHECK(source != NULL);
    size += (size_t)sprintf(source, "a = 0\n");
    for (int i = 0; i < LINES; i++)
        size += (size_t)sprintf(source + size, "a += 1\n");
    folder = temporary_folder();
    write_file(folder, "long.py", source, size);
    run_file(rt, "long.py");
    CHECK_EQ(script_int("a"), LINES);
    free(source);
    close_runtime(rt);
    free(folder);
}

TEST(a_path_need_not_be_ascii)
{
    bine *rt = open_runtime();

    write_script("caf\xc3\xa9.py", "a = __file__\n");
    run_file(rt, "caf\xc3\xa9.py");
    CHECK_STR(script_str("a"), path_of("caf\xc3\xa9.py"));
    close_runtime(rt);
    free(folder);
}

TEST(text_files_are_utf8_whatever_the_locale)
{
    bine *rt = open_runtime();

    write_script("data.txt", "caf\xc3\xa9");
    write_script("read.py", "import os, sys\n"
                            "a = open(os.path.join(os.path.dirname(__file__), 'data.txt')).read()\n"
                            "b = sys.stdout.encoding.lower()\n");
    run_file(rt, "read.py");
    CHECK_STR(script_str("a"), "caf\xc3\xa9");
    CHECK_STR(script_str("b"), "utf-8");
    close_runtime(rt);
    free(folder);
}

TEST(a_named_function_is_imported_and_called_with_its_arguments)
{
    bine *rt = open_runtime();
    bine_value *args = bine_value_list();
    char name[700];
    bine_micro *micro;

    write_script("agent.py", "def main(*args): main.seen = repr(args)\n");
    snprintf(name, sizeof name, "import sys; sys.path.insert(0, '%s')", folder);
    run_script(rt, name);
    CHECK_OK(bine_value_append(args, bine_value_i64(1)));
    CHECK_OK(bine_value_append(args, bine_value_str("zwei")));
    CHECK_OK(bine_value_append(args, bine_value_nil()));
    CHECK_OK(bine_spawn_named(rt, "agent", "main", args, &micro));
    CHECK_STR(bine_micro_name(micro), "agent.main");
    run_to_end(rt);
    CHECK_STR(script_str("__import__('agent').main.seen"), "(1, 'zwei', None)");
    bine_micro_release(micro);
    CHECK_OK(bine_spawn_named(rt, "agent", "main", NULL, NULL));
    run_to_end(rt);
    CHECK_STR(script_str("__import__('agent').main.seen"), "()");
    close_runtime(rt);
    free(folder);
}

TEST(a_named_function_that_is_not_there_fails_in_its_micro_thread)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_spawn_named(rt, "no_such_module", "main", NULL, NULL));
    settle(rt);
    expect_error("ModuleNotFoundError");
    CHECK_OK(bine_spawn_named(rt, "os", "no_such_function", NULL, NULL));
    settle(rt);
    expect_error("AttributeError");
    CHECK_OK(bine_spawn_named(rt, "os", "getpid", bine_value_list(), NULL));
    settle(rt);
    CHECK_STATUS(bine_spawn_named(rt, "os", "getpid", bine_value_i64(3), NULL), BINE_ETYPE);
    CHECK_STATUS(bine_spawn_named(rt, "os", "getpid", bine_value_dict(), NULL), BINE_ETYPE);
    close_runtime(rt);
}

TEST(a_submodule_can_be_named)
{
    bine *rt = open_runtime();
    bine_value *args = bine_value_list();

    CHECK_OK(bine_value_append(args, bine_value_str("/tmp")));
    CHECK_OK(bine_spawn_named(rt, "os.path", "isdir", args, NULL));
    CHECK_OK(bine_spawn_named(rt, "concurrent.futures", "ThreadPoolExecutor", NULL, NULL));
    settle(rt);
    close_runtime(rt);
}
