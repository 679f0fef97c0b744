# Reads the runtime's own words through %gs.
# expect: rejected V08
    .globl main
    .p2align 5
main:
    movq    %gs:0, %rax
    hlt
