# Code may end at 2 GiB exactly.
# base: 0x7fffffe0
# expect: accept
	.text
	.zero 32, 0xcc
