# Jumps into the middle of an instruction whose bytes are a system call.
# expect: rejected V17
    .globl main
    .p2align 5
main:
    jmp     1f + 1
1:  movl    $0x050f, %eax
    hlt
