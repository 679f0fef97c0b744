# REX.R where ModRM.reg is a part of the opcode.
# expect: V09 @0x0
	.text
	.byte 0x44, 0x83, 0xc0, 0x01
