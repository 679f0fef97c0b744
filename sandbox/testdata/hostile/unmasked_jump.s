# Jumps through a register that nobody masked.
# expect: rejected V14
    .globl main
    .p2align 5
main:
    movl    $0x400010, %eax
    jmpq    *%rax
    hlt
