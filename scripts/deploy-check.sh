#!/bin/sh
# Checks what is in deploy/ with the programs that will read it: promtool,
# systemd-analyze, and the static binary alone in an empty directory, as in the
# image. Needs root, or user namespaces, for that last step.
set -eu
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null || { echo "deploy-check: $1 is missing (Debian package $2)" >&2; exit 1; }; }
need promtool prometheus
need systemd-analyze systemd

echo "-- prometheus"
cd deploy/prometheus
promtool check config prometheus.yml
promtool check config prometheus-kubernetes.yml
promtool test rules alerts_test.yml
cd ../..

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

echo "-- systemd"
mkdir -p "$root/usr/local/bin" "$root/etc/systemd/system"
cp bin/linegate "$root/usr/local/bin/"
type=notify-reload
[ "$(systemd-analyze --version | sed -n 's/^systemd \([0-9]*\).*/\1/p')" -ge 253 ] || type=notify # as the unit says
sed "s|/usr/local/bin/linegate|$root&|; s|^Type=notify-reload$|Type=$type|" deploy/systemd/linegate.service \
	>"$root/etc/systemd/system/linegate.service"
cp deploy/systemd/linegate.socket "$root/etc/systemd/system/"
# verify exits 0 on an unknown key: whatever it says is a failure.
said=$(systemd-analyze verify --man=no "$root/etc/systemd/system/linegate.service" "$root/etc/systemd/system/linegate.socket" 2>&1) ||
	said="$said (status $?)"
test -z "$said" || { echo "$said" >&2; exit 1; }
# An exposure of 1.5 at most, of 10.
systemd-analyze security --offline=true --threshold=15 --no-pager "$root/etc/systemd/system/linegate.service" >"$root/log" ||
	{ cat "$root/log" >&2; exit 1; }
tail -n 1 "$root/log"

echo "-- image"
mkdir "$root/image"
cp bin/linegate "$root/image/"
as=
[ "$(id -u)" = 0 ] || as='unshare --map-root-user'
$as chroot "$root/image" /linegate version
# It serves, keys or not, until SIGTERM, and then stops cleanly.
$as timeout --preserve-status -s TERM 2 chroot "$root/image" /linegate serve --listen 127.0.0.1:0 --ops 127.0.0.1:0 \
	--issuer http://127.0.0.1:1 --audience linegate --scope line:connect >"$root/log" 2>&1 ||
	{ cat "$root/log" >&2; exit 1; }
