#!/usr/bin/env bash
# install-packages.sh PACKAGE...: installs those Debian packages that are missing, saying which.
# Does nothing when all are there. Uses sudo when not root. Servers among them are not started.
set -euo pipefail

missing=()
for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
echo "Installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive

# Packages ask this program before they start a service. One of ours that was left behind denies nothing any more.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] || grep -q 'bine denies' $policy; then
    trap '"${as_root[@]}" rm -f $policy' EXIT
    "${as_root[@]}" install -m 755 /dev/stdin $policy <<DENY
#!/bin/sh
# bine denies it while it installs
[ ! -d /proc/$$ ] || exit 101
DENY
fi

"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
