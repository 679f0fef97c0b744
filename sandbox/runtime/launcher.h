// The parts of zvm-session, the session launcher, to each other. TRUSTED, freestanding.
//
// launcher_main.cc builds the guest's address space and enters it; launcher_walls.cc gives up
// rights; launcher_zygote.cc is the launcher's second mode, which starts sessions by cloning
// itself.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sandbox/policy/layers.h"
#include "sandbox/runtime/session_block.h"
#include "sandbox/runtime/sys.h"

namespace zerocloud::runtime {

#ifdef ZEROCLOUD_TEST_WALL_SWITCHES
// Layers that the test build was told to leave out, so that tests see what each of them is for.
// NOLINTNEXTLINE(bugprone-dynamic-static-initializers): is zero before main
extern uint32_t layers_off;
inline bool IsWanted(policy::Layer layer) { return (layers_off & layer) == 0; }
#else
constexpr bool IsWanted(policy::Layer) { return true; }
#endif

[[noreturn]] void Exit(int status);

// Ends the process; `block`, if there is one already, says at which step and why.
[[noreturn]] void FailSetup(SessionBlock* block, SetupStep step, int64_t result);

inline void Check(SessionBlock* block, SetupStep step, int64_t result) {
  if (IsError(result)) FailSetup(block, step, result);
}

// --- launcher_walls.cc. What was obtained is added to `layers`. Steps that every Linux can do end
// the process if they fail; those that the host may refuse are only missing in `layers`. ---

// Becomes `unprivileged_id` if it is root.
void LeaveRoot(SessionBlock* block, uint64_t unprivileged_id, uint32_t& layers);
// No capabilities, no way to new ones, not dumpable.
void DropPrivileges(SessionBlock* block, uint32_t& layers);
// Namespaces of its own, and an empty root. The process id namespace, if wanted, is that of later
// children.
void EnterNamespaces(bool wants_pid_namespace, uint32_t& layers);
// Denies everything that Landlock can deny. Needs no_new_privs.
void DenyWithLandlock(uint32_t& layers);
// What is the same for every session.
void SetCommonLimits(SessionBlock* block);
// What would hinder the zygote: no process, no descriptor from `descriptor_limit` on, no memory
// that can be written beyond `data_limit` bytes, no longer files, processor time.
void SetSessionLimits(SessionBlock* block, uint64_t descriptor_limit, uint64_t data_limit,
                      uint32_t& layers);
void InstallZygoteFilter(uint32_t& layers);
void InstallRunningFilter(SessionBlock* block, uint32_t& layers);

// --- launcher_main.cc ---

// The part of set-up that is the same in every session, and that a clone inherits: an execution
// domain without surprises, the reserved address space, the gate, the signal handlers.
void PrepareProcess(SessionBlock* block, const uint64_t* kernel_block);

// Maps the session block, `size` bytes of `descriptor`; null if it is none.
SessionBlock* MapBlock(int descriptor, uint64_t size);

// The rest: binds to the host, maps the guest, closes all but the channels, sets the session's
// limits, installs the filter and enters the guest. In a process for which PrepareProcess has run.
// `layers` are those that it has already. A clone of a zygote still has its control socket.
[[noreturn]] void RunSession(SessionBlock* block, int image_descriptor, bool is_clone,
                             uint32_t layers);

// --- launcher_zygote.cc ---

// In a clone that still has the control socket: whether nobody is at its other end any more.
bool IsHostGone();

// Serves requests at descriptor 0 (zygote_protocol.h) until the host closes it. `name` is the
// process's argv[0], which sessions overwrite with their own.
[[noreturn]] void ServeAsZygote(const uint64_t* kernel_block, char* name,
                                bool sessions_make_namespaces);

}  // namespace zerocloud::runtime
