# MMX shares state with the x87; nothing needs it.
# expect: V05 @0x0
	.text
	paddd %mm0, %mm1
