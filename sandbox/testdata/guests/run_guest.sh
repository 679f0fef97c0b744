#!/bin/sh
# Runs a guest in a session and compares what it printed: run_guest.sh ZEROVM GUEST DIRECTORY
#
# DIRECTORY has NAME.expect, and NAME.nvram where the guest wants one. What is special about a guest is in
# the case below.
set -eu

zerovm=$1
guest=$2
data=$3
name=$(basename "$guest")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*" >&2
  cat "$work/report" "$work/stderr" >&2
  exit 1
}

: > "$work/stdin"
cp "$data/$name.expect" "$work/expect" 2> /dev/null || :
cat > "$work/manifest" << MANIFEST
Version = 20130611
Program = $guest
Memory = 268435456, 0
Timeout = 60
Channel = $work/stdin, /dev/stdin, 0, 0, 99999, 0x40000000, 0, 0
Channel = $work/stdout, /dev/stdout, 0, 0, 0, 0, 99999, 0x40000000
Channel = $work/stderr, /dev/stderr, 0, 0, 0, 0, 99999, 0x40000000
MANIFEST
code=0
ends=ok
case $name in
  abort) ends='Signal 4 ' ;;
  arguments) code=3 ;;
  copy)
    seq 1 200000 > "$work/stdin"
    cp "$work/stdin" "$work/expect"
    ;;
  noise) echo "Channel = $work/noise, /dev/noise, 3, 0, 9999, 99999999, 9999, 99999999" >> "$work/manifest" ;;
  devices)
    printf 0123456789 > "$work/input"
    cat >> "$work/manifest" << MANIFEST
Channel = $work/input, /dev/input, 1, 0, 999, 999, 0, 0
Channel = $work/log, /dev/out/log, 0, 0, 0, 0, 999, 999
MANIFEST
    ;;
esac
if [ -e "$data/$name.nvram" ]; then
  echo "Channel = $data/$name.nvram, /dev/nvram, 1, 0, 999, 99999, 0, 0" >> "$work/manifest"
fi

"$zerovm" "$work/manifest" > "$work/report" 2>&1 || [ "$ends" != ok ] || fail "zerovm: exit code $?"
[ "$(sed -n 3p "$work/report")" = "$code" ] || fail "the guest did not exit with $code"
sed -n 6p "$work/report" | grep -q "^$ends" || fail "the session did not end with \"$ends\""
diff "$work/expect" "$work/stdout" || fail "wrong output"
[ "$name" != devices ] || [ "$(cat "$work/log")" = "first second" ] || fail "wrong log"
