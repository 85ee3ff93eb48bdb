#!/bin/sh
# Installs the Debian packages that the tests talk to, those that are missing, when it may: as
# root or with a sudo that asks no password. It never fails: the tests of a peer that is not
# there skip and name it (with CI=true they fail). Usage: deploy/peers.sh [PACKAGE...]
set -u

packages="micropython mosquitto mosquitto-clients gpsd gpsd-clients mbpoll libmodbus-dev socat iproute2 chromium"
packages="$packages softhsm2 opensc" # a PKCS #11 token, for operators' keys
packages="$packages systemd fakeroot" # systemd-analyze judges the unit; dpkg in a folder
# The ARM image: compiler, headers, emulator; MicroPython itself comes as a source package.
packages="$packages gcc-arm-none-eabi libnewlib-dev qemu-system-arm dpkg-dev make"
# chrony would take the place of whatever keeps this machine's time: not where something does
[ "$(timedatectl show -p NTP --value 2>/dev/null)" = yes ] || packages="$packages chrony"
command -v cc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
[ $# = 0 ] || packages="$*"

installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

if ! command -v apt-get >/dev/null 2>&1; then
    echo "peers: no apt-get here; the tests of a missing peer are skipped"
    exit 0
fi

missing=
for package in $packages; do
    installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "peers: not root, so not installed:$missing"
    exit 0
fi

apt() { # quiet when all is well; what it said, when not
    log=$($as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null 2>&1) || {
        echo "$log" | tail -n 5 >&2
        return 1
    }
}

echo "peers: installing$missing"
apt update || echo "peers: the package lists could not be refreshed" >&2
# shellcheck disable=SC2086  # the list is to be split into words
if ! apt install -y --no-install-recommends $missing; then
    for package in $missing; do # one that is not to be had must not cost the others
        apt install -y --no-install-recommends "$package" || echo "peers: no $package" >&2
    done
fi
exit 0
