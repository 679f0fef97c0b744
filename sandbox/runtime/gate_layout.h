// Offsets shared by gate.S and the launcher: the block of words at %gs:0. C and assembler.
//
// The guest cannot name %gs (rule: no segment prefix), so it can neither read the runtime's address
// through it nor change it; its copy of the gate page holds no address at all.
#pragma once

#define GATE_TARGET 0       /* where the gate page jumps: gate_entry */
#define GATE_TRUSTED_RSP 16 /* top of the trusted stack, 16-byte aligned */
#define GATE_RESULT 24      /* of the call, while registers are cleared */
#define GATE_MXCSR 40       /* the ABI's default */
#define GATE_XSTATE_MASK                                                                          \
  48                        /* state components cleared at the start: low half eax, high half edx \
                             */
#define GATE_XSTATE_AVX 4   /* among them: there are ymm registers */
#define GATE_XSTATE_AREA 64 /* 576 bytes, 64-byte aligned: an XSAVE area in its initial state */
/* What a call keeps of the guest, as struct GuestRegisters of session_block.h. Registers but rsp,
 * MXCSR and FCW are here for fork alone: the call itself keeps them as any function does. */
#define GATE_GUEST_RBX 640
#define GATE_GUEST_RBP 648
#define GATE_GUEST_R12 656
#define GATE_GUEST_R13 664
#define GATE_GUEST_R14 672
#define GATE_GUEST_R15 680
#define GATE_GUEST_RSP 688   /* points at the return address */
#define GATE_GUEST_MXCSR 696 /* 4 bytes */
#define GATE_GUEST_FCW 700   /* 2 bytes, then 2 of nothing */
#define GATE_WORDS_SIZE 704
