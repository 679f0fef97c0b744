# Level 3 in an image that declares level 2.
# expect: V06 @0x0
	.text
	shlxl %eax, %ecx, %edx
