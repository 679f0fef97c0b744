# Makes a Linux system call.
# expect: rejected V05
    .globl main
    .p2align 5
main:
    movl    $39, %eax
    syscall
    hlt
