# F3 0F 1E /1: rdssp where there are shadow stacks.
# expect: V05 @0x0
	.text
	.byte 0xf3, 0x0f, 0x1e, 0xc8
