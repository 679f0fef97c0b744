# 0F 18 /6: prefetches code on new processors.
# expect: V05 @0x0
	.text
	.byte 0x0f, 0x18, 0x35, 0, 0, 0, 0
