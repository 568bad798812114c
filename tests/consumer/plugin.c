/* plugin LIBRARY: a host that loads the SDK as a plug-in, with local symbols. Extension modules,
 * which look for libpython's symbols among the global ones, must be importable all the same. */
#include <bine/bine.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define LOAD(name) *(void **)&name##_fn = dlsym(library, #name)

int main(int argc, char **argv)
{
    void (*bine_config_init_fn)(bine_config *);
    int (*bine_open_fn)(const bine_config *, bine **);
    int (*bine_run_string_fn)(bine *, const char *, const char *, bine_micro **);
    int (*bine_run_fn)(bine *, bine_run_mode);
    int (*bine_micro_status_fn)(const bine_micro *);
    void *library = argc < 2 ? NULL : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    bine_config config;
    bine_micro *script;
    bine *rt;

    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return EXIT_FAILURE;
    }
    LOAD(bine_config_init);
    LOAD(bine_open);
    LOAD(bine_run_string);
    LOAD(bine_run);
    LOAD(bine_micro_status);
    bine_config_init_fn(&config);
    if (bine_open_fn(&config, &rt) != BINE_OK)
        return EXIT_FAILURE;
    if (bine_run_string_fn(rt, "import _ctypes, _decimal, _json, _sqlite3\n", "plugin", &script) != BINE_OK)
        return EXIT_FAILURE;
    bine_run_fn(rt, BINE_RUN_DEFAULT);
    return bine_micro_status_fn(script) == BINE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
