#!/bin/bash
# coverage.sh [show]: builds the unit tests of the trusted files with counters, runs them, and prints how many
# lines of each they reach, and with "show" which they do not. Fails if it is below 95 % for any file. Also says
# which trusted files are not counted, why, and what tests them: docs/trusted-code.md has the same list.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly build=build/coverage needed=95
readonly -a tests=(base_test verifier_test verifier_case_test elf_image_test image_test session_calls_test channels_test network_test
  seccomp_filter_test threat_model_test)
readonly -a files=(sandbox/verifier/{verify_core.cc,verify_core.h,verifier.cc,verifier.h,screen.h,decoder.h,opcodes.h}
  sandbox/loader/{elf_image,image}.{cc,h} sandbox/runtime/{calls,calls_asked,fork,jail,transfer,address_space}.{cc,h}
  sandbox/runtime/{guest_memory,session_block,sys}.h sandbox/policy/{seccomp_filter,layers}.h
  channels/{channel_parse,open_channel}.{cc,h} channels/{access_type,channel_rules,channel_spec,digest,host_status}.h
  channels/base/{error,result,unique_fd}.h channels/network/{links,name_service,socket,wire}.{cc,h})
# Why not, is printed at the end.
readonly -a uncounted=(sandbox/runtime/launcher{.h,_main.cc,_walls.cc,_zygote.cc} sandbox/runtime/gate{.S,_layout.h}
  sandbox/runtime/snapshot.{cc,h} sandbox/runtime/trace.h sandbox/verifier/{rules,opcodes}.def)

# Every trusted file is in one of the lists.
diff <(sed -nE 's/^\| ([a-z_]+\/[^ ]+) \|.*/\1/p' docs/trusted-code.md | sort) \
  <(printf '%s\n' "${files[@]}" "${uncounted[@]}" | sort) || {
  echo "coverage.sh and docs/trusted-code.md do not have the same files" >&2
  exit 1
}
ls "${files[@]}" >/dev/null
cmake --preset coverage >/dev/null
cmake --build "$build" -j"$(nproc)" --target "${tests[@]}" >"$build/build.log" 2>&1 || { cat "$build/build.log"; exit 1; }
rm -f "$build"/*.lcov
for test in "${tests[@]}"; do
  export LLVM_PROFILE_FILE=$PWD/$build/$test.profraw
  "$build/tests/$test" >"$build/$test.log" 2>&1 || { cat "$build/$test.log"; exit 1; }
  llvm-profdata-19 merge -sparse "$LLVM_PROFILE_FILE" -o "$build/$test.profdata"
  llvm-cov-19 export -format=lcov "$build/tests/$test" -instr-profile "$build/$test.profdata" "${files[@]}" >"$build/$test.lcov"
done

# A line counts once, and is reached if any of the programs reaches it.
cat "$build"/*.lcov | python3 -c '
import collections, os, sys
needed = float(sys.argv[1])
lines = collections.defaultdict(lambda: collections.defaultdict(int))
for line in sys.stdin:
    key, _, value = line.strip().partition(":")
    if key == "SF":
        file = os.path.relpath(value)
    elif key == "DA":
        number, count = value.split(",")[:2]
        lines[file][int(number)] += int(count)
total = covered = 0
low = []
for file in sorted(lines):
    counts = lines[file].values()
    reached = sum(count > 0 for count in counts)
    total += len(counts)
    covered += reached
    if 100 * reached < needed * len(counts): low.append(file)
    print("%6.1f %%  %4d of %4d  %s" % (100 * reached / len(counts), reached, len(counts), file))
    if len(sys.argv) > 2:
        print("          not:", *sorted(number for number, count in lines[file].items() if count == 0))
share = 100 * covered / total
print("%6.1f %%  %4d of %4d  all" % (share, covered, total))
for file in low:
    print("less than %g %% of the lines of %s are reached" % (needed, file), file=sys.stderr)
sys.exit(bool(low) or not lines)' "$needed" "$@"

cat <<'TEXT'

Not counted, because they run in the session process, which has no C library and so no runtime for counters:
  sandbox/runtime/launcher_main.cc, launcher_walls.cc, launcher.h
      walls_test, exploit_test, hostile_guests_test, zerovm_test, zerovm_cause_test: every session runs all of set-up
  sandbox/runtime/launcher_zygote.cc
      walls_test, exploit_test (ExploitTest, Leftovers, Walls)
  sandbox/runtime/gate.S, gate_layout.h
      hostile_guests_test (register_residue, lost_stack, forged_return, floating_point_traps, gate_other_slot, write_gate)
Not counted, because it needs sessions, which do not run under the counters' runtime:
  sandbox/runtime/snapshot.cc, snapshot.h
      snapshot_test (also damaged and forged snapshots), daemon_test
Not counted, because nothing in them runs: sandbox/runtime/trace.h, sandbox/verifier/{rules,opcodes}.def
TEXT
