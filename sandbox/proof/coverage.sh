#!/bin/bash
# coverage.sh: builds the unit tests of the trusted files with counters, runs them, and prints how many lines
# of each they reach. Fails below 95 % of them all. Not counted: the launcher and the gate, which run without a
# C library to count with, and what runs in sessions only; docs/trusted-code.md says what tests those.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly build=build/coverage needed=95
readonly -a tests=(base_test verifier_test verifier_case_test elf_image_test image_test session_calls_test channels_test
  seccomp_filter_test threat_model_test)
readonly -a files=(sandbox/verifier/{verify_core.cc,verify_core.h,verifier.cc,verifier.h,screen.h,decoder.h,opcodes.h}
  sandbox/loader/{elf_image,image}.{cc,h} sandbox/runtime/{calls,fork,jail,transfer,address_space}.cc
  sandbox/runtime/{calls,fork,jail,transfer,guest_memory,address_space,session_block}.h
  sandbox/policy/{seccomp_filter,layers}.h channels/{channel_parse,open_channel}.{cc,h}
  channels/{access_type,channel_rules,channel_spec,digest,host_status}.h channels/base/{error,result,unique_fd}.h)

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
for file in sorted(lines):
    counts = lines[file].values()
    reached = sum(count > 0 for count in counts)
    total += len(counts)
    covered += reached
    print("%6.1f %%  %4d of %4d  %s" % (100 * reached / len(counts), reached, len(counts), file))
    if len(sys.argv) > 2:
        print("          not:", *sorted(number for number, count in lines[file].items() if count == 0))
share = 100 * covered / total
print("%6.1f %%  %4d of %4d  all" % (share, covered, total))
sys.exit(share < needed)' "$needed" "$@"
