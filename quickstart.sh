#!/bin/bash
# The main job, from nothing: installs what is needed, builds, starts a server over a temporary
# directory, uploads text, counts its words with one job, ranks them with a second one, and checks
# the result against coreutils. Exits non-zero on any difference.
#
#   ./quickstart.sh             all of it
#   ./quickstart.sh --swift     the same beside a real OpenStack Swift, whose files the sessions read in place
#   ./quickstart.sh --keep      leave the server running and say what to try
#   ./quickstart.sh --texts DIR count the files text-*.txt of DIR instead
#   ./quickstart.sh --corrupt   flip one byte of one uploaded text, to see the check fail
#   ./quickstart.sh --bin DIR   use the programs in DIR instead of building them
set -euo pipefail
cd "$(dirname "$0")"
root=$PWD
keep= swift= corrupt= texts= bin=
while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=1 ;;
    --swift) swift=1 ;;
    --corrupt) corrupt=1 ;;
    --texts) texts=${2:?--texts needs a directory}; shift ;;
    --bin) bin=${2:?--bin needs a directory}; shift ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done

say() { printf '\n== %s\n' "$*"; }

if [ -z "$bin" ]; then
  say "installing packages and building"
  sh cmake/install-packages.sh
  cmake --preset release >/dev/null
  cmake --build --preset release -j "$(nproc)" --target zerocloud zvm-session guest-sysroot
  bin=$root/build/release/bin
fi

if [ -z "$texts" ]; then
  texts=$root/build/texts
  say "fetching text from Debian packages"
  integration-tests/fetch-texts.sh "$texts"
fi

work=$(mktemp -d)
server= cluster=
cleanup() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ -n "$cluster" ]; then
    exec 9>&-
    wait "$cluster" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

if [ -n "$swift" ]; then
  say "starting OpenStack Swift: a proxy, and a server of objects, containers and accounts each"
  mkfifo "$work/held"  # Swift ends when nobody holds it open any more
  PYTHONPATH=integration-tests /usr/bin/python3 -B -m framework.swift_cluster 1 --directory "$work/swift" \
    <"$work/held" >"$work/swift.places" 2>"$work/swift.log" &
  cluster=$!
  exec 9>"$work/held"
  until [ "$(wc -l <"$work/swift.places")" -eq 3 ]; do
    kill -0 "$cluster" 2>/dev/null || { cat "$work/swift.log" >&2; exit 1; }
    sleep 0.1
  done
  { read -r upstream; read -r swift_dir; read -r devices; } <"$work/swift.places"
  echo "Swift: $upstream, devices in $devices"
  where="--upstream $upstream --swift-dir $swift_dir --devices $devices"
else
  mkdir "$work/store"
  where="--store $work/store --user test:tester:testing:admin --set storage.durable=0"
fi

say "starting the server"
# shellcheck disable=SC2086  # a list of options
"$bin/zerocloud" serve --listen 127.0.0.1:0 $where >"$work/address" 2>"$work/server.log" 9>&- &
server=$!
until [ -s "$work/address" ]; do
  kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; exit 1; }
  sleep 0.1
done
url=http://$(head -n 1 "$work/address")
curl -sS -D "$work/auth" -o /dev/null "$url/auth/v1.0" \
  -H 'X-Auth-User: test:tester' -H 'X-Auth-Key: testing'
header() { tr -d '\r' <"$work/auth" | sed -n "s/^$1: //Ip"; }
token=$(header x-auth-token)
storage=$(header x-storage-url)
echo "storage URL: $storage"

request() { curl -sS --fail-with-body -H "X-Auth-Token: $token" "$@"; }
for container in text programs counts; do request -X PUT "$storage/$container"; done

say "uploading $(cat "$texts"/text-*.txt | wc -c) bytes of text in $(ls "$texts"/text-*.txt | wc -l) objects"
upload() { # upload CONTAINER FILES...: one curl, so one connection
  local container=$1 file
  shift
  for file; do
    printf 'url = "%s/%s/%s"\nupload-file = "%s"\n' "$storage" "$container" "$(basename "$file")" "$file"
  done | request -K - >/dev/null
}
upload text "$texts"/text-*.txt
if [ -n "$corrupt" ]; then
  first=$(ls "$texts"/text-*.txt | head -n 1)
  { head -c 999 "$first" && printf 'Q7q' && tail -c +1001 "$first"; } >"$work/${first##*/}"
  upload text "$work/${first##*/}"
fi

say "compiling the guests"
examples=$root/docs/examples/wordcount
for program in map reduce top; do
  "$bin/zvm-cc" -O2 -Wall -o "$work/$program" "$examples/$program.c" "$examples/combine.c"
done
upload programs "$work/map" "$work/reduce" "$work/top"

job() { # job NAME: posts NAME.json; prints what the job answers, and its sessions as a table
  request -o "$work/$1.report" -X POST "$storage" \
    -H 'X-Zerovm-Execute: 1.0' -H 'Content-Type: application/json' \
    -H 'Accept: application/vnd.zerocloud.report+json' --data-binary "@$examples/$1.json" || {
    cat "$work/$1.report" >&2
    exit 1
  }
  jq -j .body "$work/$1.report" | tee "$work/$1.out"
  {
    printf 'SESSION\tWALL ms\tCPU ms\tIN bytes\tOUT bytes\tEXIT\n'
    jq -r '.sessions[] | [.name, .wall_us / 1000, .cpu_us / 1000, .in_bytes, .out_bytes, .exit] | @tsv' \
      "$work/$1.report"
  } | column -t -s "$(printf '\t')"
  jq -r '"\(.sessions | length) sessions in \(.wall_us / 1000 | floor) ms"' "$work/$1.report"
  jq -r 'select(has("local_sessions")) | "\(.local_sessions) of the \(
    [.sessions[] | select(has("local"))] | length) sessions that read stored objects were local: they read Swift'"'"'s files in place"' \
    "$work/$1.report"
}

say "counting words: one job, one mapper an object, 4 reducers"
job count

say "the 20 most frequent words: a second job over the first one's outputs"
job top

say "checking against coreutils"
for file in "$texts"/text-*.txt; do cat "$file" && echo; done | LC_ALL=C tr -cs 'A-Za-z' '\n' | LC_ALL=C tr 'A-Z' 'a-z' |
  LC_ALL=C sort | LC_ALL=C uniq -c | awk 'NF == 2 {print $2 "\t" $1}' >"$work/expected"
for part in 1 2 3 4; do request "$storage/counts/reduce-$part.tsv"; done |
  LC_ALL=C sort -t "$(printf '\t')" -k 1,1 >"$work/counted"
if ! cmp "$work/expected" "$work/counted"; then
  echo "DIFFERENT from coreutils:" >&2
  diff "$work/expected" "$work/counted" | head -n 10 >&2 || true
  exit 1
fi
LC_ALL=C sort -t "$(printf '\t')" -k 2,2nr -k 1,1 "$work/expected" | awk "NR <= 20" | cmp - "$work/top.out"
echo "the same: $(wc -l <"$work/expected") different words"

if [ -n "$keep" ]; then
  say "the server runs on as process $server over $work; stop it with: kill $server"
  cat <<EOF
curl -H 'X-Auth-Token: $token' '$storage/counts?format=json'
curl -H 'X-Auth-Token: $token' '$storage/counts/reduce-1.tsv' | head
curl -H 'X-Auth-Token: $token' -H 'X-Zerovm-Execute: 1.0' -H 'Content-Type: application/json' --data-binary '@$examples/top.json' '$storage'
EOF
  trap - EXIT
  disown "$server"
  if [ -n "$cluster" ]; then
    # Swift ends with it.
    tail -f /dev/null --pid="$server" >&9 2>/dev/null &
    disown "$cluster" $!
  fi
fi
