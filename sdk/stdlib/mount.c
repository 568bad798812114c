#include "stdlib/mount.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/vfs.h>

#define BTRFS 0x9123683EU
#define EXT4 0xEF53U
#define F2FS 0xF2F52010U
#define OVERLAY 0x794c7630U
#define XFS 0x58465342U
#define ZFS 0x2FC12FC1U

static struct {
    uint64_t mount;
    bine__behind behind;
} known[16];

bine__behind bine__mount_look(int fd)
{
    struct statfs about;

    if (fstatfs(fd, &about) != 0)
        return BINE__NOT_KNOWN;
    switch ((unsigned long)about.f_type) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
        return BINE__BEHIND_MEMORY;
    case BTRFS:
    case EXT4:
    case F2FS:
    case OVERLAY:
    case XFS:
    case ZFS:
        return BINE__BEHIND_DISK;
    default:
        return BINE__BEHIND_OTHER;
    }
}

bine__behind bine__mount_behind(uint64_t mount)
{
    size_t place = mount % (sizeof known / sizeof *known);

    return mount != 0 && known[place].mount == mount ? known[place].behind : BINE__NOT_KNOWN;
}

void bine__mount_remember(uint64_t mount, bine__behind behind)
{
    size_t place = mount % (sizeof known / sizeof *known);

    if (mount == 0 || behind == BINE__NOT_KNOWN)
        return;
    known[place].mount = mount;
    known[place].behind = behind;
}
