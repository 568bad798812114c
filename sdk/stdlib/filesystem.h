/* Module os, see filesystem.c. Owner thread, GIL held. */
#ifndef BINE_STDLIB_FILESYSTEM_H
#define BINE_STDLIB_FILESYSTEM_H

/* A built-in function's hash goes by what it calls. os.supports_dir_fd and the like are sets of functions:
 * they are put in order again after stand-ins have been put in place, or taken away. 0, or -1 with an
 * exception. */
int bine__filesystem_rehash(void);

#endif
