/* What stands behind the files of a mount, as far as it is known. Mounts are known by the number that the
 * kernel (6.8 and newer) gives to each and to no other ever after; where it does not, none is known.
 *
 * Owner thread, but for bine__mount_look(). */
#ifndef BINE_STDLIB_MOUNT_H
#define BINE_STDLIB_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum bine__behind {
    BINE__NOT_KNOWN,
    BINE__BEHIND_MEMORY, /* nothing: it is in memory alone */
    BINE__BEHIND_DISK,
    BINE__BEHIND_OTHER /* a server, a program */
} bine__behind;

/* For statx(): a number that is not used again. */
#define BINE__UNIQUE_MOUNT 0x4000U

/* Of the file that `fd` is open for; it may take its time. Any thread, without the GIL. */
bine__behind bine__mount_look(int fd);

/* `mount` 0 is known by nobody. */
bine__behind bine__mount_behind(uint64_t mount);
void bine__mount_remember(uint64_t mount, bine__behind behind);

#endif
