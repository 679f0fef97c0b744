#!/bin/bash
# Installs what is needed, builds, and runs the tests. Ends with ctest's summary line.
#
#   ./test.sh                 release build, every test
#   ./test.sh --sanitizers    the tests again under ASan+UBSan, then under TSan
#   ./test.sh --lint          formatting, and clang-tidy over every file
#   ./test.sh --coverage      lines of trusted code that unit tests reach; fails below 95 % of any file
#   ./test.sh --fuzz SECONDS  each fuzz target for that long, and the verifier's mutants; every night for longer
#   ./test.sh --swift-full    the tests with Swift on four nodes, Swift's own tests through us, a copy of 4 GiB
set -euo pipefail
cd "$(dirname "$0")"
jobs=$(nproc)

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }

build() {  # build PRESET [cmake arguments]
  local preset=$1
  shift
  cmake --preset "$preset" "$@"
  cmake --build --preset "$preset" -j "$jobs"
}

run() {  # run PRESET [ctest arguments]
  local preset=$1
  shift
  ctest --preset "$preset" -j "$jobs" "$@"
}

sh cmake/install-packages.sh
case "${1:-}" in
  "")
    build release
    run release
    ;;
  --sanitizers)
    # Guests are the same whatever checks the host: those of the release build.
    build release
    guests=-DZEROCLOUD_GUEST_SYSROOT=$PWD/build/release/zvm
    build asan "$guests"
    run asan
    build tsan "$guests"
    run tsan -LE toolchain
    ;;
  --lint)
    git ls-files '*.cc' '*.h' '*.c' | xargs clang-format-19 --dry-run -Werror
    build tidy
    ;;
  --coverage)
    sandbox/proof/coverage.sh
    ;;
  --fuzz)
    build fuzz
    for target in build/fuzz/fuzz/*_fuzzer; do
      echo "== $(basename "$target")"
      "$target" -max_total_time="${2:?seconds}" -rss_limit_mb=4096 -print_final_stats=1 2>&1 | tail -n 12
    done
    # Another seed every night; it is in what is printed.
    build release
    guests=(hello math sort text malloc cxx)
    build/release/bin/zvm-proof --seed "$(date +%Y%m%d)" --seconds "$2" \
      build/release/sandbox/verifier/cases/accept "${guests[@]/#/build/release/guests/}"
    ;;
  --swift-full)
    build release
    ZEROCLOUD_PROGRAM=$PWD/build/release/bin/zerocloud integration-tests/swift-functional
    ZEROCLOUD_SWIFT_FULL=1 run release -L swift
    ZEROCLOUD_SWIFT_FULL=1 run release -R ZerovmNetwork.LargeFileArrivesWhole
    ;;
  *)
    usage
    exit 2
    ;;
esac
