# The same without LOCK.
# expect: accept
	.text
	addl $1, (%eax)
	cmpxchgq %rcx, (%edi)
	xaddl %eax, (%ecx)
	cmpxchg16b (%edi)
	xchgl %eax, %ecx
