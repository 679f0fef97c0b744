#!/bin/sh
# check_instructions.sh LAUNCHER: trusted code runs with the guest's x87 state and MXCSR (gate.S), so it must
# not compute with either: no x87 or MMX instruction but the gate's own, no floating-point arithmetic.
set -eu
found=$(objdump -d --no-show-raw-insn "$1" |
  sed -nE 's/^ *[0-9a-f]+:[[:space:]]+//p' |
  grep -E -e '^(f[a-z0-9]+|emms|wait)([[:space:]]|$)' -e '%mm[0-7]' -e '%st' \
    -e '^v?(add|sub|addsub|hadd|hsub|mul|div|sqrt|rsqrt|rcp|min|max|cmp[a-z]*|round|dp|fn?m(add|sub)[0-9a-z]*)[ps][sd][[:space:]]' \
    -e '^v?(u?comis[sd]|cvt[a-z0-9]+)[[:space:]]' |
  grep -vE '^(fninit|fnstcw +%gs:|fldcw +%gs:)' || true)
if [ -n "$found" ]; then
  echo "check_instructions.sh: $1 computes with x87, MMX or floating point:" >&2
  echo "$found" >&2
  exit 1
fi
