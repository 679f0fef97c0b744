# Moves rsp out of the low 4 GiB.
# expect: rejected V13
    .globl main
    .p2align 5
main:
    movabsq $0x7fffffffe000, %rax
    movq    %rax, %rsp
    pushq   %rax
    hlt
