# Can leave an unmasked exception pending for the gate.
# expect: V05 @0x0
	.text
	fldenv (%rsp)
