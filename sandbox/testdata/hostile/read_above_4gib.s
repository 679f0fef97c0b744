# Reads through a 64-bit address.
# expect: rejected V10
    .globl main
    .p2align 5
main:
    movabsq $0x7fffffffe000, %rax
    movq    (%rax), %rax
    hlt
