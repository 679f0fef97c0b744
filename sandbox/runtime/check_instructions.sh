#!/bin/sh
# check_instructions.sh LAUNCHER: what gate.S takes for granted of trusted code. It runs with the guest's x87
# state and MXCSR, so it computes with neither: no x87 or MMX instruction but the gate's own, no floating-point
# arithmetic. And it is plain x86-64: what it leaves in registers, VZEROALL clears.
set -eu
found=$(objdump -d --no-show-raw-insn "$1" |
  sed -nE 's/^ *[0-9a-f]+:[[:space:]]+//p' |
  grep -E -e '^(f[a-z0-9]+|emms|wait)([[:space:]]|$)' -e '%mm[0-7]' -e '%st' \
    -e '^(add|sub|addsub|hadd|hsub|mul|div|sqrt|rsqrt|rcp|min|max|cmp[a-z]*|round|dp)[ps][sd][[:space:]]' \
    -e '^(u?comis[sd]|cvt[a-z0-9]+)[[:space:]]' -e '^v[a-z0-9]+([[:space:]]|$)' -e '%[yz]mm' -e '%k[0-7]' |
  grep -vE -e '^(fninit|fnstcw +%gs:.*|fldcw +%gs:.*|vzeroall) *$' -e '^ver[rw] ' || true)
if [ -n "$found" ]; then
  echo "check_instructions.sh: in $1:" >&2
  echo "$found" >&2
  exit 1
fi
