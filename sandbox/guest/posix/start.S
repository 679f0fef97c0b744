# Where a guest begins: every register zero, rsp just below 4 GiB, zeros above it.
	.text
	.globl	_start
	.type	_start, @function
_start:
	xorl	%ebp, %ebp
	andq	$-16, %rsp
	call	zvm_start
	ud2
	.size	_start, .-_start

	.section .note.GNU-stack,"",@progbits
