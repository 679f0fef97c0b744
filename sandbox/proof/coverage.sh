#!/bin/bash
# coverage.sh: builds the unit tests of the trusted files with counters, runs them, and prints how many lines
# of each they reach. Fails below 95 % of them all. The launcher, fork.cc and the gate have no counters: they
# run without a C library, and sessions test them.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly build=build/coverage needed=95
readonly -a tests=(verifier_test verifier_case_test elf_image_test image_test session_calls_test jail_test snapshot_test)

cmake --preset coverage >/dev/null
targets=()
for test in "${tests[@]}"; do
  if grep -q "^build $test:" "$build/build.ninja" || grep -q "^build tests/$test:" "$build/build.ninja"; then
    targets+=("$test")
  fi
done
cmake --build "$build" -j"$(nproc)" --target "${targets[@]}" >/dev/null
objects=("$build/tests/${targets[0]}")
rm -f "$build"/*.profraw
for test in "${targets[@]}"; do
  LLVM_PROFILE_FILE="$PWD/$build/$test.profraw" "$build/tests/$test" >"$build/$test.log" || { cat "$build/$test.log"; exit 1; }
  objects+=(-object "$build/tests/$test")
done
llvm-profdata-19 merge -sparse "$build"/*.profraw -o "$build/trusted.profdata"

files=(sandbox/verifier/{verify_core.cc,verifier.cc,verifier.h,screen.h,decoder.h,opcodes.h}
  sandbox/loader/{elf_image,image}.cc sandbox/runtime/{calls,jail,transfer,address_space}.cc sandbox/runtime/guest_memory.h)
existing=()
for file in "${files[@]}"; do if [ -e "$file" ]; then existing+=("$file"); fi; done
llvm-cov-19 export -summary-only "${objects[@]}" -instr-profile "$build/trusted.profdata" "${existing[@]}" |
  python3 -c '
import json, os, sys
needed = float(sys.argv[1])
files = json.load(sys.stdin)["data"][0]["files"]
total = covered = 0
for file in files:
    lines = file["summary"]["lines"]
    total += lines["count"]
    covered += lines["covered"]
    print("%6.1f %%  %4d of %4d  %s" % (100 * lines["covered"] / max(lines["count"], 1), lines["covered"],
                                    lines["count"], os.path.relpath(file["filename"])))
share = 100 * covered / total
print("%6.1f %%  %4d of %4d  all" % (share, covered, total))
sys.exit(share < needed)' "$needed"
