/* The context switch for x86-64, System V ABI: rbx, rbp, r12-r15 and the control bits of MXCSR
 * and of the x87 unit are the callee's to keep; all else is dead across a call.
 *
 * Layout of a suspended stack, from its saved rsp up:
 *   +0  MXCSR (4 bytes), x87 control word (2 bytes), unused (2 bytes)
 *   +8  r15, r14, r13, r12, rbx, rbp
 *   +56 return address */

    .text

/* void bine__switch(void **save [rdi], void *to [rsi]) */
    .globl  bine__switch
    .hidden bine__switch
    .type   bine__switch, @function
    .p2align 4
bine__switch:
    .cfi_startproc
    endbr64
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    movl    (%rsp), %eax
    movzwl  4(%rsp), %ecx
    movq    %rsp, (%rdi)

    /* Both stacks have the same layout here, so the CFI above holds for the new one too. */
    movq    %rsi, %rsp
    /* Loading the control words is slow and they hardly ever differ. */
    cmpl    (%rsp), %eax
    jne     2f
1:  cmpw    4(%rsp), %cx
    jne     3f
4:  addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq    %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq    %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq    %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret

    .cfi_adjust_cfa_offset 56
    .cfi_rel_offset %rbp, 48
    .cfi_rel_offset %rbx, 40
    .cfi_rel_offset %r12, 32
    .cfi_rel_offset %r13, 24
    .cfi_rel_offset %r14, 16
    .cfi_rel_offset %r15, 8
2:  ldmxcsr (%rsp)
    jmp     1b
3:  fldcw   4(%rsp)
    jmp     4b
    .cfi_endproc
    .size   bine__switch, .-bine__switch

/* A new stack starts here: r12 is the argument, r13 the entry. Nobody called: rip is undefined
 * to an unwinder, which so knows that this is the outermost frame. */
    .globl  bine__switch_start
    .hidden bine__switch_start
    .type   bine__switch_start, @function
    .p2align 4
bine__switch_start:
    .cfi_startproc
    .cfi_undefined %rip
    endbr64
    movq    %r12, %rdi
    xorl    %ebp, %ebp
    callq   *%r13
    ud2
    .cfi_endproc
    .size   bine__switch_start, .-bine__switch_start

/* void *bine__switch_prepare(void *top [rdi], void (*entry)(void *) [rsi], void *arg [rdx]) */
    .globl  bine__switch_prepare
    .hidden bine__switch_prepare
    .type   bine__switch_prepare, @function
    .p2align 4
bine__switch_prepare:
    .cfi_startproc
    endbr64
    leaq    -80(%rdi), %rax          /* so that rsp is 16-byte aligned in bine__switch_start */
    stmxcsr (%rax)
    fnstcw  4(%rax)
    movw    $0, 6(%rax)
    movq    $0, 8(%rax)              /* r15 */
    movq    $0, 16(%rax)             /* r14 */
    movq    %rsi, 24(%rax)           /* r13: entry */
    movq    %rdx, 32(%rax)           /* r12: argument */
    movq    $0, 40(%rax)             /* rbx */
    movq    $0, 48(%rax)             /* rbp */
    leaq    bine__switch_start(%rip), %rcx
    movq    %rcx, 56(%rax)
    movq    $0, 64(%rax)
    movq    $0, 72(%rax)
    ret
    .cfi_endproc
    .size   bine__switch_prepare, .-bine__switch_prepare

    .section .note.GNU-stack, "", @progbits
