#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs `make demo` and `make test` in a bare Debian root with only git, make, python3 and
# python3-venv. Needs root and debootstrap. Usage:
#     deploy/debian/prove-bare-root.sh [FOLDER]
#     KEEP=1 keeps the root; DEMO=no or TESTS=no skips that part; CI=true is passed on
# Uses the mirror and the settings of apt and pip of this machine. The mounts exist in a separate
# namespace and end with it.
set -eu

if [ "${INSIDE_NAMESPACE:-}" != yes ]; then
    [ "$(id -u)" = 0 ] || { echo "bare-root: needs root" >&2; exit 2; }
    command -v debootstrap >/dev/null || { echo "bare-root: needs debootstrap" >&2; exit 2; }
    INSIDE_NAMESPACE=yes exec unshare --mount --propagation private sh "$0" "$@"
fi

repo=$(cd "$(dirname "$0")/../.." && pwd -P)
suite=${SUITE:-trixie}
root=${1:-$(mktemp -d)}
mkdir -p "$root"
chmod 755 "$root" # programs that drop root, such as mosquitto, need access
[ -z "$(ls -A "$root")" ] || { echo "bare-root: $root is not empty" >&2; exit 2; }
started=$(date +%s)
say() { echo "bare-root: $* ($(($(date +%s) - started)) s)"; }

mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 2>/dev/null |
    awk -v suite="$suite" '$2 == suite && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || { echo "bare-root: apt has no source for $suite; apt-get update?" >&2; exit 2; }

cleanup() {
    umount -l "$root/dev/pts" "$root/dev/shm" "$root/proc" "$root/sys" 2>/dev/null || true
    if [ -n "${KEEP:-}" ] || grep -q " $root/" /proc/mounts; then
        say "kept: $root"
    else
        rm -rf --one-file-system "$root"
    fi
}
trap cleanup EXIT

say "debootstrap $suite into $root"
debootstrap --variant=minbase --include=ca-certificates,git,make,python3,python3-venv \
    "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"

say "copy settings of apt, pip, name resolution and certificates"
keep() { # keep PATH...: copies files and folders into the root
    for path in "$@"; do
        [ -e "$path" ] || continue
        mkdir -p "$root$(dirname "$path")"
        cp -rLT "$path" "$root$path"
    done
}
keep /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/apt/apt.conf /etc/apt/auth.conf.d \
    /etc/ssl/certs/ca-certificates.crt
for file in /etc/apt/apt.conf.d/*; do # not those that call programs outside the root
    if grep -qi 'acquire' "$file"; then keep "$file"; fi
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do # not local folders
    if [ -e "$file" ] && ! grep -q 'file:' "$file"; then keep "$file"; fi
done
[ ! -e /etc/apt/sources.list.d/debian.sources ] || rm -f "$root/etc/apt/sources.list"

mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys" 2>/dev/null || true
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"
mkdir -p "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"

say "clone"
git clone --quiet --no-hardlinks "$repo" "$root/home/coldloop"

inside() { # inside COMMAND...: runs in the root; keeps only settings of proxies and pip
    settings=$(env | grep -iE '^(https?_proxy|no_proxy|pip_(cert|index_url|extra_index_url|trusted_host|default_timeout)|ssl_cert_file|requests_ca_bundle)=' || true)
    # shellcheck disable=SC2086  # one setting in each word; no setting contains a space
    chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
        $settings ${CI:+CI=$CI} sh -c "cd /home/coldloop && $*" </dev/null
}

if [ "${DEMO:-yes}" = yes ]; then
    say "make demo"
    inside make demo "ARGS='--seconds 30 --json'"
fi
if [ "${TESTS:-yes}" = yes ]; then
    say "make test"
    inside make test
fi
say "passed"
