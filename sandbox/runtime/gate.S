# The way between guest and trusted code. TRUSTED. Nothing here is on a guest's side of the fence: the
# guest's copy of the gate is the 32 bytes at gate_page_code, everything else lies far above 4 GiB.
#
# Arguments: the System V AMD64 registers. See zvm.h for what a call keeps and clears.
#include "sandbox/runtime/gate_layout.h"

    .text

# The only code that the loader puts at ZVM_GATE_ADDRESS. %gs:0 holds gate_entry.
    .globl gate_page_code, gate_page_code_end
    .hidden gate_page_code, gate_page_code_end
    .p2align 5
gate_page_code:
    jmpq    *%gs:GATE_TARGET
gate_page_code_end:

    .globl gate_entry, gate_return_mask, gate_return
    .hidden gate_entry, gate_return_mask, gate_return
    .type gate_entry, @function
    .p2align 5
gate_entry:
    # Trusted memory keeps the guest's stack pointer and nothing else of the way back: the return
    # address stays in guest memory, and is masked after the last write to that memory.
    movq    %rsp, %gs:GATE_GUEST_RSP
    movq    %gs:GATE_TRUSTED_RSP, %rsp
    movq    %rbx, %gs:GATE_GUEST_RBX
    movq    %rbp, %gs:GATE_GUEST_RBP
    movq    %r12, %gs:GATE_GUEST_R12
    movq    %r13, %gs:GATE_GUEST_R13
    movq    %r14, %gs:GATE_GUEST_R14
    movq    %r15, %gs:GATE_GUEST_R15
    cld
    # MXCSR and the x87 state are kept by being left alone: FNINIT, and LDMXCSR where it changes a flag,
    # take longer than all the rest of the gate. Trusted code has no instruction that either could
    # matter to, nor one that waits for an x87 exception that the guest left pending
    # (check_instructions.sh looks at every build). These two are stored for fork alone.
    stmxcsr %gs:GATE_GUEST_MXCSR
    fnstcw  %gs:GATE_GUEST_FCW
    callq   gate_dispatch
    movq    %rax, %gs:GATE_RESULT
gate_leave:
    # What trusted code left in vector registers is neither the guest's business nor reproducible. It
    # is compiled for plain x86-64 and calls nothing else, so it cannot have touched more than xmm0 to
    # xmm15. Masks and the rest of zmm are as at the start, since guests have no instruction that
    # names them. XRSTOR would clear it all, but takes some 30 ns where VZEROALL takes 4.
    testl   $GATE_XSTATE_AVX, %gs:GATE_XSTATE_MASK
    jz      gate_clear_sse
    vzeroall
gate_cleared:
    movq    %gs:GATE_RESULT, %rax
    xorl    %ecx, %ecx
    xorl    %edx, %edx
    xorl    %esi, %esi
    xorl    %edi, %edi
    xorl    %r8d, %r8d
    xorl    %r9d, %r9d
    xorl    %r10d, %r10d
    xorl    %r11d, %r11d
    movq    %gs:GATE_GUEST_RSP, %rsp
    # These two are the only instructions of trusted code that touch guest memory. The guest chooses
    # rsp, so they fault at its will: the fault handler counts them as the guest's.
gate_return_mask:
    andq    $0x7fffffe0, (%rsp)
gate_return:
    ret

gate_clear_sse:
    .irp    number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    pxor    %xmm\number, %xmm\number
    .endr
    jmp     gate_cleared
    .size gate_entry, . - gate_entry

# void enter_guest(uint64_t entry): never returns. Every register is zero (state components initial,
# MXCSR and FCW the ABI's defaults), rsp is the top of the guest's stack less one empty frame, and the
# flags are those of the last xor.
    .globl enter_guest
    .hidden enter_guest
    .type enter_guest, @function
    .p2align 5
enter_guest:
    movq    %rdi, %gs:GATE_RESULT
    movl    %gs:GATE_XSTATE_MASK, %eax
    movl    %gs:GATE_XSTATE_MASK+4, %edx
    xrstor64 %gs:GATE_XSTATE_AREA
    fninit
    ldmxcsr %gs:GATE_MXCSR
    # 4 GiB less 64 zero bytes: argc, argv, envp and auxv, all empty.
    movl    $0xffffffc0, %esp
    xorl    %eax, %eax
    xorl    %ecx, %ecx
    xorl    %edx, %edx
    xorl    %ebx, %ebx
    xorl    %ebp, %ebp
    xorl    %esi, %esi
    xorl    %edi, %edi
    xorl    %r8d, %r8d
    xorl    %r9d, %r9d
    xorl    %r10d, %r10d
    xorl    %r11d, %r11d
    xorl    %r12d, %r12d
    xorl    %r13d, %r13d
    xorl    %r14d, %r14d
    xorl    %r15d, %r15d
    jmpq    *%gs:GATE_RESULT
    .size enter_guest, . - enter_guest

# void resume_guest(void): never returns. A guest that called fork goes on as after any call: with the
# registers at GATE_GUEST_*, result 0, and its return address masked where it lies in guest memory.
    .globl resume_guest
    .hidden resume_guest
    .type resume_guest, @function
    .p2align 5
resume_guest:
    movq    %gs:GATE_GUEST_RBX, %rbx
    movq    %gs:GATE_GUEST_RBP, %rbp
    movq    %gs:GATE_GUEST_R12, %r12
    movq    %gs:GATE_GUEST_R13, %r13
    movq    %gs:GATE_GUEST_R14, %r14
    movq    %gs:GATE_GUEST_R15, %r15
    movq    $0, %gs:GATE_RESULT
    cld
    movl    %gs:GATE_XSTATE_MASK, %eax
    movl    %gs:GATE_XSTATE_MASK+4, %edx
    xrstor64 %gs:GATE_XSTATE_AREA
    ldmxcsr %gs:GATE_GUEST_MXCSR
    fldcw   %gs:GATE_GUEST_FCW
    jmp     gate_leave
    .size resume_guest, . - resume_guest

# The kernel wants a restorer for every handler; ours never return.
    .globl signal_restorer
    .hidden signal_restorer
    .p2align 5
signal_restorer:
    ud2

# The first instruction of the launcher: the kernel's argument block is at rsp.
    .globl _start
    .type _start, @function
    .p2align 5
_start:
    xorl    %ebp, %ebp
    movq    %rsp, %rdi
    andq    $-16, %rsp
    callq   launcher_main
    ud2
    .size _start, . - _start

    .section .note.GNU-stack,"",@progbits
