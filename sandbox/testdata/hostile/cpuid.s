# Asks the processor who it is, which differs between hosts.
# expect: rejected V05
    .globl main
    .p2align 5
main:
    cpuid
    mov $7, %eax
    .p2align 5
    andq $0x7fffffe0, (%rsp)
    ret
