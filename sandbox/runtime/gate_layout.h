// Offsets shared by gate.S and the launcher: the block of words at %gs:0. C and assembler.
//
// The guest cannot name %gs (rule: no segment prefix), so it can neither read the runtime's address
// through it nor change it; its copy of the gate page holds no address at all.
#pragma once

#define GATE_TARGET 0       /* where the gate page jumps: gate_entry */
#define GATE_GUEST_RSP 8    /* the guest's stack pointer during a call */
#define GATE_TRUSTED_RSP 16 /* top of the trusted stack, 16-byte aligned */
#define GATE_RESULT 24      /* of the call, while registers are cleared */
#define GATE_GUEST_MXCSR 32 /* 4 bytes */
#define GATE_GUEST_FCW 36   /* 2 bytes */
#define GATE_MXCSR 40       /* the ABI's default */
#define GATE_XSTATE_MASK 48 /* state components that are cleared: low half eax, high half edx */
#define GATE_XSTATE_AREA 64 /* 576 bytes, 64-byte aligned: an XSAVE area in its initial state */
#define GATE_WORDS_SIZE 640
