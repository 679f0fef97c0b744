# Filling may not cross either: the bundle behind would begin inside it.
# expect: V03 @0x1c
	.text
	.zero 28, 0x90
	.byte 0x0f, 0x1f, 0x44, 0x00, 0x00
