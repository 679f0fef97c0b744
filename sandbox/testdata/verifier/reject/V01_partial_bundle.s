# The code ends in the middle of a bundle.
# pad: no
# expect: V01 @0x20
	.text
	.zero 32, 0xcc
	.zero 31, 0xcc
