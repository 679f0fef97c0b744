#!/bin/bash
# Puts at least 50 MB of real text into DIRECTORY as files of about a megabyte, text-001.txt and so
# on: manuals from Debian packages and /usr/share/common-licenses. Fetched once.
#
# usage: fetch-texts.sh DIRECTORY
set -euo pipefail
target=${1:?usage: fetch-texts.sh DIRECTORY}
packages="linux-doc-6.1 perl-doc python3.11-doc"
[ -e "$target/complete" ] && exit 0
rm -rf "$target"
mkdir -p "$target/packages"

cd "$target/packages"
# A machine that has no package lists yet needs them; fetching them needs no more than install did.
# shellcheck disable=SC2086  # a list of names
apt-get download -q $packages >/dev/null 2>apt.log || {
  cat apt.log >&2
  echo "fetch-texts: cannot download $packages; run 'apt-get update' and try again" >&2
  exit 1
}
for package in *.deb; do
  dpkg-deb -x "$package" tree
  rm "$package"
done
cd ..
{
  find packages/tree -type f \( -name '*.txt' -o -name '*.pod' \) -print0 | LC_ALL=C sort -z |
    xargs -0 cat
  find packages/tree -type f -name '*.gz' -print0 | LC_ALL=C sort -z | xargs -0 zcat
  cat /usr/share/common-licenses/*
} | split -C 1M -a 3 --numeric-suffixes=1 --additional-suffix=.txt - text-
rm -rf packages
size=$(cat text-*.txt | wc -c)
[ "$size" -ge 50000000 ] || { echo "fetch-texts: only $size bytes of text" >&2; exit 1; }
touch complete
