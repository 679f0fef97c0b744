# The loader fills the tail of text with int3.
# expect: accept
	.text
	.zero 96, 0xcc
