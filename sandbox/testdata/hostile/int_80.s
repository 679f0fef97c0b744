# Makes a 32-bit Linux system call.
# expect: rejected V05
    .globl main
    .p2align 5
main:
    movl    $20, %eax
    int     $0x80
    hlt
