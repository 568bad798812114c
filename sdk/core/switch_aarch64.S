/* The context switch for AArch64, AAPCS64: x19-x30, sp, the low halves of v8-v15 and FPCR are
 * the callee's to keep. x18 is the platform's and left alone.
 *
 * Layout of a suspended stack, from its saved sp up (176 bytes):
 *   +0 x19 ... x28, +80 x29, x30, +96 d8 ... d15, +160 FPCR */

    .text

/* void bine__switch(void **save [x0], void *to [x1]) */
    .globl  bine__switch
    .hidden bine__switch
    .type   bine__switch, %function
    .p2align 4
bine__switch:
    .cfi_startproc
    hint    #34                      /* bti c */
    sub     sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp     x19, x20, [sp, #0]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    stp     x21, x22, [sp, #16]
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    stp     x23, x24, [sp, #32]
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    stp     x25, x26, [sp, #48]
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    stp     x27, x28, [sp, #64]
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    stp     x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp     d8, d9, [sp, #96]
    .cfi_rel_offset d8, 96
    .cfi_rel_offset d9, 104
    stp     d10, d11, [sp, #112]
    .cfi_rel_offset d10, 112
    .cfi_rel_offset d11, 120
    stp     d12, d13, [sp, #128]
    .cfi_rel_offset d12, 128
    .cfi_rel_offset d13, 136
    stp     d14, d15, [sp, #144]
    .cfi_rel_offset d14, 144
    .cfi_rel_offset d15, 152
    mrs     x9, fpcr
    str     x9, [sp, #160]
    mov     x10, sp
    str     x10, [x0]

    /* Both stacks have the same layout here, so the CFI above holds for the new one too. */
    mov     sp, x1
    ldr     x10, [sp, #160]
    cmp     x9, x10
    b.eq    1f
    msr     fpcr, x10
1:  ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    add     sp, sp, #176
    .cfi_adjust_cfa_offset -176
    ret
    .cfi_endproc
    .size   bine__switch, .-bine__switch

/* A new stack starts here: x19 is the argument, x20 the entry. The undefined return address
 * tells an unwinder that this is the outermost frame. */
    .globl  bine__switch_start
    .hidden bine__switch_start
    .type   bine__switch_start, %function
    .p2align 4
bine__switch_start:
    .cfi_startproc
    .cfi_undefined x30
    hint    #34
    mov     x0, x19
    mov     x29, xzr
    blr     x20
    brk     #1
    .cfi_endproc
    .size   bine__switch_start, .-bine__switch_start

/* void *bine__switch_prepare(void *top [x0], void (*entry)(void *) [x1], void *arg [x2]) */
    .globl  bine__switch_prepare
    .hidden bine__switch_prepare
    .type   bine__switch_prepare, %function
    .p2align 4
bine__switch_prepare:
    .cfi_startproc
    hint    #34
    sub     x0, x0, #176
    stp     x2, x1, [x0, #0]         /* x19: argument, x20: entry */
    stp     xzr, xzr, [x0, #16]
    stp     xzr, xzr, [x0, #32]
    stp     xzr, xzr, [x0, #48]
    stp     xzr, xzr, [x0, #64]
    adrp    x9, bine__switch_start
    add     x9, x9, #:lo12:bine__switch_start
    stp     xzr, x9, [x0, #80]       /* x29, x30 */
    stp     xzr, xzr, [x0, #96]
    stp     xzr, xzr, [x0, #112]
    stp     xzr, xzr, [x0, #128]
    stp     xzr, xzr, [x0, #144]
    mrs     x9, fpcr
    str     x9, [x0, #160]
    ret
    .cfi_endproc
    .size   bine__switch_prepare, .-bine__switch_prepare

    .section .note.GNU-stack, "", %progbits
