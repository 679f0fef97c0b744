# Level 3 in an image that declares level 2. Older processors run it as another instruction.
# expect: V06 @0x0
	.text
	tzcntq %rax, %rcx
