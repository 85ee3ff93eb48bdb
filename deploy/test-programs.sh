#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs missing Debian packages with programs for the tests, as root or with a sudo without
# password. Never fails: the tests of a missing program skip and name it (with CI=true they fail).
# Usage: deploy/test-programs.sh [PACKAGE...]
set -u

packages="micropython mosquitto mosquitto-clients curl gpsd gpsd-clients mbpoll libmodbus-dev socat iproute2 chromium"
packages="$packages softhsm2 opensc" # a PKCS #11 token for keys of operators
packages="$packages postgresql postgresql-common victoria-metrics promtool" # stores of the relay
packages="$packages postgresql-17-timescaledb" # of Debian 13
packages="$packages nginx" # TLS with certificates of clients before a store
packages="$packages systemd fakeroot" # systemd-analyze checks the unit; dpkg works in a folder
packages="$packages linuxptp" # ptp4l and pmc of the time server
packages="$packages tshark" # reads the captures of `modbus sniff --pcapng`
packages="$packages lintian nodejs" # the Debian package; the emulator of the RP2040 (with npm)
packages="$packages zbar-tools librsvg2-bin" # read the label of a unit
packages="$packages device-tree-compiler" # checks the overlays for controllers
packages="$packages slurm-wlm munge" # a scheduler that `coldloop orchestrate` acts on
packages="$packages tshark wireshark-common" # reads captures of `modbus sniff --pcapng` and BACnet
packages="$packages nodejs npm" # node-bacnet, a client of the northbound servers
packages="$packages prometheus" # scrapes the northbound server; answers the queries of a dashboard
packages="$packages snmpd snmp snmptrapd smitools" # SNMPv3: agent, client, receiver, MIB checker
# The ARM image: compiler, headers, emulator, and apt for the source package of MicroPython.
packages="$packages gcc-arm-none-eabi libnewlib-dev qemu-system-arm dpkg-dev make"
# chrony replaces the time service of the machine, so it is not installed beside one
[ "$(timedatectl show -p NTP --value 2>/dev/null)" = yes ] || packages="$packages chrony"
command -v cc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
[ $# = 0 ] || packages="$*"

installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

if ! command -v apt-get >/dev/null 2>&1; then
    echo "test programs: no apt-get; the tests of a missing program skip"
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
    echo "test programs: not root, so not installed:$missing"
    exit 0
fi

apt() { # prints output only after a failure
    log=$($as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null 2>&1) || {
        echo "$log" | tail -n 5 >&2
        return 1
    }
}

echo "test programs: installing$missing"
apt update || echo "test programs: apt-get update failed" >&2
# shellcheck disable=SC2086  # splits the list into words
if ! apt install -y --no-install-recommends $missing; then
    for package in $missing; do # one missing package must not block the others
        apt install -y --no-install-recommends "$package" || echo "test programs: no $package" >&2
    done
fi
exit 0
