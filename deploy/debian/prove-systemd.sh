#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the units of the package under a real systemd, in namespaces of its own: agent, all servers,
# snmpd in the sandbox, readers of the log, trends of the panel from the log, killed and stopped servers,
# a socket below 1024. Needs root, systemd, net-snmp, curl, mbpoll. Changes nothing outside: /etc, /var and /usr are overlays on a tmpfs.
#
#     deploy/debian/prove-systemd.sh dist/coldloop_VERSION_ARCH.deb
#
# Ends with 0 and the line `proved`, or with the first check that fails.
set -eu
package=$(realpath "$1")
work=$(mktemp -d)
cp "$package" "$work/package.deb"
trap 'kill -9 ${init:-} ${pid:-} 2>/dev/null || true; rm -rf "$work"' EXIT

cat > "$work/start" <<'EOF'
#!/bin/sh
set -e
ip link set lo up
mount --make-rshared /
mount -t proc proc /proc
umount -R /sys/fs/cgroup || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/proof
mount --bind "$1" /run/proof
mkdir -p /tmp/proof-keep && mount --bind /run/proof /tmp/proof-keep
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/systemd/system /run/proof
mount --bind /tmp/proof-keep /run/proof
for folder in etc var usr; do
    mkdir -p "/run/overlay/$folder" "/run/overlay/$folder-work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=/run/overlay/$folder,workdir=/run/overlay/$folder-work" "/$folder"
done
exec env -i container=proof PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_LOG_TARGET=null \
    /usr/lib/systemd/systemd --system --unit=basic.target
EOF

cat > "$work/check" <<'EOF'
#!/bin/sh
fail() { echo "failed: $1"; journalctl --no-pager -n 30; exit 1; }
wait_for() { n=0; until eval "$1" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 100 ] || fail "$1"; sleep 0.3; done; }
dpkg --force-depends -i /run/proof/package.deb >/dev/null 2>&1 || fail "dpkg -i"
python3 - <<'PY'
import json
unit = json.load(open("/usr/share/doc/coldloop/examples/unit.json"))
unit["broker"] = {"address": "tcp:127.0.0.1:1883"}
unit["log"] = {"port": "store:/var/lib/coldloop-log?group=coldloop-site"}
host = "127.0.0.1"
unit["northbound"] = {
    "port": "local:/run/coldloop-site?group=coldloop-site",
    "identity": {"serial_number": "S-0001"},
    "http": {"address": host}, "modbus": {"address": host},
    "bacnet": {"address": host + "/8", "device": 7},
    "snmp": {"address": host, "user": "reader", "keys": "northbound_snmp.keys"},
}
json.dump(unit, open("/etc/coldloop/unit.json", "w"))
PY
mkdir -p /etc/coldloop/northbound /etc/coldloop/tls
keys=/etc/coldloop/northbound/snmp.keys
printf 'authentication: authentication-1\nprivacy: privacy-secret-2\n' > $keys && chmod 600 $keys
install -D -m 644 /usr/share/doc/coldloop/examples/northbound-agent.conf /etc/systemd/system/coldloop.service.d/northbound.conf
systemctl daemon-reload
systemctl start coldloop || fail "start of the agent"
systemctl start coldloop-northbound@all || fail "start of the servers"
wait_for "test -s /run/coldloop-site/points.json"
[ "$(stat -c %a:%G /run/coldloop-site/points.json)" = 640:coldloop-site ] || fail "points.json"
snmp() { MIBS= snmpget -v3 -l authPriv -u reader -a SHA-256 -A authentication-1 -x AES -X privacy-secret-2 -t 3 127.0.0.1:1161 "$1"; }
wait_for "snmp .1.3.6.1.4.1.8072.9999.9999.4710.1.1.4.0 | grep -q S-0001"
wait_for "curl -sk https://127.0.0.1:8443/redfish | grep -q v1"
mbpoll -m tcp -a 1 -p 1502 -r 1 -c 2 -t 4:hex -1 127.0.0.1 | grep -q 0x5375 || fail "Modbus"
wait_for "ls /var/lib/coldloop-log/log.*"
main=$(systemctl show -p MainPID --value coldloop-northbound@all)
user=$(awk '/^Uid/{print $2}' "/proc/$main/status")
group=$(getent group coldloop-site | cut -d: -f3)
as_server() { nsenter -t "$main" -m setpriv "--reuid=$user" "--regid=$group" --clear-groups "$@"; }
as_server sh -c 'cat /var/lib/coldloop-log/log.* > /dev/null' || fail "log of the agent is not readable"
! as_server touch /var/lib/coldloop-log/x 2>/dev/null || fail "log of the agent is writable"
! as_server ls /var/lib/private/coldloop 2>/dev/null || fail "store of the agent is readable"
web=$(pgrep -P "$main" | sort -n | head -1)
kill -STOP "$web"
snmp .1.3.6.1.4.1.8072.9999.9999.4710.1.1.4.0 | grep -q S-0001 || fail "a stopped web server delays SNMP"
wait_for "! kill -0 $web"
wait_for "curl -sk -m 5 https://127.0.0.1:8443/redfish | grep -q v1"
kill -9 "$main"
wait_for "snmp .1.3.6.1.4.1.8072.9999.9999.4710.1.1.4.0 | grep -q S-0001"
[ "$(pgrep -c snmpd)" = 1 ] || fail "one snmpd"
[ "$(journalctl --no-pager -u 'coldloop-northbound@*' | grep -c '/proc/')" = 0 ] || fail "snmpd writes of /proc"
mkdir -p /etc/systemd/system/coldloop-northbound-https.socket.d
printf '[Socket]\nService=coldloop-northbound@all.service\n' > /etc/systemd/system/coldloop-northbound-https.socket.d/all.conf
systemctl daemon-reload && systemctl stop coldloop-northbound@all
systemctl start coldloop-northbound-https.socket || fail "socket"
wait_for "curl -sk -m 20 https://127.0.0.1/redfish | grep -q v1"
systemctl stop coldloop-northbound@all coldloop-northbound-https.socket
missed=$(python3 -c 'import json; print(json.load(open("/run/coldloop/status.json"))["ticks"]["missed"])')
# Trends: a log of 30 min beside the record of an agent that knows UTC, both made here.
cp /run/coldloop-site/points.json /run/proof/points.json
systemctl stop coldloop
rm -f /var/lib/coldloop-log/*
/usr/lib/coldloop/bin/python /run/proof/make_log &
maker=$!
wait_for "test -s /run/coldloop-site/points.json"
systemctl start coldloop-northbound@all || fail "start with a log"
wait_for "curl -sk 'https://127.0.0.1:8443/panel/api/trend?minutes=60' | grep -q 32.1"
kill $maker
[ "$missed" = 0 ] || echo "note: the agent missed $missed ticks"
echo proved
EOF
cat > "$work/make_log" <<'EOF'
import json, os, time
from agent.log.segment import LogRecord, frame, segment_name
from protocols.telemetry import block, message
from protocols.telemetry.schema import Schema

FOLDER = "/run/coldloop-site/"
schema = Schema([("t", "ms", 1, 1), ("rpu.SupplyTemperatureCelsius", "Cel", 1, 10)])
generation = bytes(message.GENERATION_BYTES)
records = [frame(generation, 0, LogRecord(1, 0, message.SCHEMA, schema.text))]
for number in range(30):
    writer = block.BlockWriter(schema.number, 60 * number, 60)
    start_ms = int(time.time() * 1000) - (31 - number) * 60_000
    writer.add([start_ms + 1000 * i for i in range(60)])
    writer.add([321] * 60)
    record = LogRecord(number + 2, 60 * (number + 1), message.ROWS, writer.finish())
    records.append(frame(generation, 0, record))
path = "/var/lib/coldloop-log/" + segment_name(generation, 0, 1)
with open(path, "wb") as file:
    file.write(b"".join(records))
os.chmod(path, 0o640)
point_record = json.load(open("/run/proof/points.json"))
group = os.stat(FOLDER).st_gid
while True:
    point_record["sequence"] += 1
    point_record["mono_us"] = time.monotonic_ns() // 1000
    point_record["utc_us"], point_record["bound_us"] = time.time_ns() // 1000, 1000
    with open(FOLDER + "new", "w") as file:
        json.dump(point_record, file)
    os.chown(FOLDER + "new", 0, group)
    os.chmod(FOLDER + "new", 0o640)
    os.replace(FOLDER + "new", FOLDER + "points.json")
    time.sleep(0.5)
EOF
chmod +x "$work/start" "$work/check"
unshare -m -p -f -C -u -i -n --kill-child "$work/start" "$work" </dev/null >/dev/null 2>&1 &
pid=$!
n=0
until init=$(pgrep -P "$pid" -x systemd) && nsenter -t "$init" -m -p -C -u -i -n systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do
    n=$((n + 1))
    [ $n -lt 60 ] || { echo "failed: systemd does not start here"; exit 2; }
    sleep 0.5
done
nsenter -t "$init" -m -p -C -u -i -n /run/proof/check
