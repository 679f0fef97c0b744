# As lock add.
# expect: V07 @0x0
	.text
	lock cmpxchgq %rcx, (%edi)
