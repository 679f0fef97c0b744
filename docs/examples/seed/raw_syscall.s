# The same request without a library: write(2, text, 6), straight to the kernel.
    .globl main
main:
    movl    $1, %eax
    movl    $2, %edi
    leaq    text(%rip), %rsi
    movl    $6, %edx
    syscall
    ud2

    .section .rodata
text:
    .ascii  "hello\n"
