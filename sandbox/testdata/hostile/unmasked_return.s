# Returns to whatever lies on the stack.
# expect: rejected V15
    .globl main
    .p2align 5
main:
    movl    $0x400010, %eax
    pushq   %rax
    ret
