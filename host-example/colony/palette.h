/* Colours of the pictures, 0xRRGGBB. */
#ifndef COLONY_PALETTE_H
#define COLONY_PALETTE_H

enum {
    GRASS = 0x7d9b52,
    DRY_GRASS = 0xa9ab62,
    SAND = 0xcdb380,
    LEAF = 0x3d6b34,
    LEAF_LIT = 0x5c8c45,
    BARE = 0x7d8459,
    BARE_LIT = 0x949a68,
    BERRY = 0xc8283c,
    SHADOW = 0x1c2415,
    ROOF = 0x8b5a34,
    ROOF_LIT = 0xb27c4c,
    FIRE = 0xff9a2e,
    SUN = 0xffd23f,
    MOON = 0x7f9fd0,
    PANEL = 0x20262c,
    INK = 0xe8e4d8,
    INK_DIM = 0x98a0a8,
    INK_CODE = 0xa8d08a
};

#endif
