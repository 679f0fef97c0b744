#!/bin/sh
# Installs what debian-packages.txt names, if anything of it is missing; `install-packages.sh bench`:
# debian-packages-bench.txt. As root, or through sudo.
set -eu
list=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$(dirname "$0")/debian-packages${1:+-$1}.txt")

missing=
for package in $list; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "install-packages: not root and no sudo; as root, run: apt-get install$missing" >&2
    exit 1
  }
  as_root="sudo"
fi
echo "install-packages: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# shellcheck disable=SC2086  # a list of names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
