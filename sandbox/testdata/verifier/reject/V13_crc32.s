# rsp, sp or spl is written.
# expect: V13 @0x0
	.text
	crc32q %rax, %rsp
