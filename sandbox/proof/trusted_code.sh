#!/bin/bash
# trusted_code.sh [--write]: which files have to be right for the walls to hold, with their lines of code (not
# blank, not only a comment), as docs/trusted-code.md lists them. Fails if that file says anything else, if
# the first wall has 3,000 lines or more, or if a file of its folders is neither listed nor known not to be
# trusted. --write brings the file up to date.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly document=docs/trusted-code.md limit=3000

# The first wall: what accepts code, maps it, and answers its calls.
verifier="sandbox/verifier/rules.def sandbox/verifier/verify_core.h sandbox/verifier/verify_core.cc
  sandbox/verifier/verifier.h sandbox/verifier/verifier.cc sandbox/verifier/screen.h"
decoder="sandbox/verifier/decoder.h sandbox/verifier/opcodes.h sandbox/verifier/opcodes.def"
loader="$(ls sandbox/loader/*.cc sandbox/loader/*.h | grep -vE '_(test|fuzzer)\.cc$|elf_builder.h$')"
gate="sandbox/runtime/gate.S sandbox/runtime/gate_layout.h"
calls="$(ls sandbox/runtime/calls*.{h,cc} sandbox/runtime/guest_memory* sandbox/runtime/jail*.{h,cc} \
  sandbox/runtime/transfer*.{h,cc} sandbox/runtime/trace.h \
  sandbox/runtime/fork*.{h,cc} 2>/dev/null | grep -vE '_(test|fuzzer)\.cc$' || true)"
# Trusted too, and counted beside it: what sets a session up and holds the second wall.
launcher="$(ls sandbox/runtime/launcher*.{h,cc} sandbox/runtime/address_space* \
  sandbox/runtime/snapshot*.{h,cc} sandbox/runtime/session_block.h \
  sandbox/runtime/sys.h sandbox/policy/*.{h,cc} 2>/dev/null | grep -vE '_(test|fuzzer)\.cc$' || true)"
channels="$(find channels -name '*.cc' -o -name '*.h' | grep -vE '_(test|fuzzer|bench)\.cc$|_for_test|testing' | sort)"
# In the folders above, but no verdict depends on them.
untrusted="sandbox/verifier/rules.h sandbox/verifier/verifier_bench.cc"

count() { sed -E '/^[[:space:]]*$/d; /^[[:space:]]*(\/\/|#[[:space:]])/d' "$1" | wc -l; }

first_wall=0
section() {  # title, files, counts-to-the-limit
  local file lines sum=0
  echo "## $1"
  echo
  echo "| File | Lines |"
  echo "|---|---:|"
  for file in $2; do
    lines=$(count "$file")
    sum=$((sum + lines))
    echo "| $file | $lines |"
  done
  echo "| **all** | **$sum** |"
  echo
  if [ "$3" = yes ]; then first_wall=$((first_wall + sum)); fi
}

render() {
  cat <<'TEXT'
# Trusted code

What has to be right for a guest to stay inside. Lines are lines of code: not blank and not only a comment, the opcode table
included. Written by `sandbox/proof/trusted_code.sh --write`; the test `proof.trusted_code` fails if it is out of date or if
the first wall (verifier, decoder, loader, gate, calls) reaches 3,000 lines.

TEXT
  section "Verifier" "$verifier" yes
  section "Decoder" "$decoder" yes
  section "Loader" "$loader" yes
  section "Gate" "$gate" yes
  section "Calls" "$calls" yes
  echo "**The first wall: $first_wall lines**, of $limit at most."
  echo
  section "Beside it: launcher and second wall" "$launcher" no
  section "Beside it: channels" "$channels" no
  cat <<'TEXT'
## Libraries

In the session process: `SHA1Update` and the like of libmd (digests of channels), compiled in; no C library. In the host process that
starts sessions: the C and C++ libraries, OpenSSL's digests, fmt, and the kernel. In none of them: a compiler, assembler, linker
or rewriter, an instruction decoder of others (Zydis and LLVM are in tests, and Zydis in the text of `zvm-verify`).

## Coverage

`./test.sh --coverage` builds the unit tests of these files with counters and prints which share of the lines of each file they reach. It
fails below 95 % of the lines of any file, and if a file above is neither counted nor named as not counted; at the last writing it was 98.0 % of
3,295 lines, 95.2 % of the lowest file. What is left is mostly failures of the host (a memory file that cannot be mapped or sealed).

No unit test reaches what runs without a C library only, so it is not in that number: `gate.S`, `launcher*.cc`, and `snapshot.cc`, which
needs sessions (its output says so, too). They are tested from outside, in real sessions, each of which runs all of the gate and the launcher's way through its set-up:

- the gate: `hostile_guests_test` (registers that are left over, lost stacks, other slots of the gate, forged returns, x87 traps, writes to the gate),
  and every guest program of the tests;
- the launcher: `zerovm_cause_test` (every way to end, with its cause), `walls_test` (namespaces, limits, zygotes, 1,000 sessions, death of parents), `exploit_test`
  (the second wall without the first), `calls_fuzzer` and `session_calls_test` (the same calls, hosted);
- snapshots: `snapshot_test` (also damaged and forged ones) and `fork_test`.
TEXT
}

problems=0
for file in sandbox/verifier/*.{h,cc,def}; do
  case " $(echo $verifier $decoder $untrusted) " in
    *" $file "*) ;;
    *) case "$file" in
         *_test.cc | *_fuzzer.cc) ;;
         *) echo "$file is neither listed as trusted nor known not to be" >&2; problems=1 ;;
       esac ;;
  esac
done
text=$(mktemp)
trap 'rm -f "$text"' EXIT
render >"$text"
if [ "${1:-}" = --write ]; then cp "$text" "$document"; fi
if ! cmp -s "$text" "$document"; then
  echo "$document is out of date: run sandbox/proof/trusted_code.sh --write" >&2
  diff "$document" "$text" >&2 || true
  problems=1
fi
first=$(sed -n 's/^\*\*The first wall: \([0-9]*\) lines.*/\1/p' "$text")
if [ "$first" -ge "$limit" ]; then
  echo "the first wall has $first lines; at most $limit are allowed" >&2
  problems=1
fi
echo "the first wall has $first lines of code"
exit "$problems"
