#!/bin/sh
# Measures linegate beside Redis, a usual Go server and a bare epoll server, all
# in one run: installs redis-server where it is missing, builds the rest, and
# runs bench/compare. From the environment: QUICK=1 for a minute with small
# counts, which leaves docs/ alone; RUNS=3 for medians of three rounds.
set -eu
cd "$(dirname "$0")/.."

if ! command -v redis-server >/dev/null; then
	command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || {
		echo "bench-compare: redis-server is missing (Debian package redis-server); as root this script installs it" >&2
		exit 1
	}
	echo "bench-compare: installing redis-server" >&2
	# Debian asks this file whether a service may start: this one may not. A
	# file that is already there is left alone.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		own_policy=$policy
		trap 'rm -f $own_policy' EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null
fi

bin=$(mktemp -d)
trap 'rm -rf "$bin" ${own_policy:-}' EXIT
version=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$bin/" ./cmd/linegate ./bench/goserver ./bench/compare
if command -v cc >/dev/null; then
	cc -O2 -o "$bin/epollserver" bench/epollserver.c
else
	echo "bench-compare: no C compiler: without the epoll server" >&2
fi
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true
case "${QUICK:-} $*" in
" "*-only*) ;; # a part of the table is only printed
" "*) set -- -write "$@" ;;
*) set -- -quick "$@" ;;
esac
"$bin/compare" -bin "$bin" -runs "${RUNS:-1}" "$@"
