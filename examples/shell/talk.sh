#!/bin/sh
# Talks with a linegate gateway through nc: what you type is sent, what comes is
# shown. Pings keep the session open, and the token is renewed in time.
#
#   talk.sh [HOST [PORT]]       default 127.0.0.1 8885, beside `make run`
#
# TOKEN_COMMAND prints a new token each time it runs; default:
# linegatectl token --fresh. It is plain TCP, so for loopback only, perhaps to a
# TLS proxy there. Ctrl-D ends it, with status 0; when the gateway ends it, the
# status is 1. It does not reconnect: a person is there to see why.
set -u
host=${1:-127.0.0.1}
port=${2:-8885}
token_command=${TOKEN_COMMAND:-linegatectl token --fresh}

fail() {
	echo "talk.sh: $2" >&2
	exit "$1"
}

case $host in
localhost | 127.*.*.* | ::1) ;;
*) fail 64 "$host is not loopback, the token would cross the network readable" ;;
esac
command -v nc >/dev/null || fail 1 "nc is not installed"

dir=$(mktemp -d) || exit 1
nc='' clock='' typist=''
cleanup() {
	trap '' EXIT INT TERM
	# shellcheck disable=SC2086 # numbers, or nothing
	kill $nc $clock $typist 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap '' PIPE # when nc is gone, the reader says so

# authenticate sends AUTH with a new token. The token gets into no argument list
# and no environment: printf is the shell's own. The command must not inherit
# the FIFO, which would be kept open by it.
authenticate() {
	token=$($token_command 3>&- 4<&-) || { echo "talk.sh: no token" >&2; return 1; }
	printf 'AUTH %s\n' "$token" >&3
}

# type_lines sends what is typed. At the end of that it stops the clock, and nc
# has nobody left to wait for.
type_lines() {
	while IFS= read -r line || [ -n "$line" ]; do
		printf '%s\n' "$line" >&3
	done
	touch "$dir/typed"
	kill "$clock"
}

# run_clock ticks once a second: a ping after 5 s and then every 10 s, and a
# renewal when the seconds that the reader noted have passed. One that fails is
# tried once more, when the gateway's NOTICE asks for it.
run_clock() {
	tick=0 left=''
	while sleep 1 3>&-; do
		tick=$((tick + 1))
		[ $((tick % 10)) -ne 5 ] || echo ping >&3
		if [ -e "$dir/renew_in" ]; then
			left=$(cat "$dir/renew_in")
			rm "$dir/renew_in"
		fi
		[ -z "$left" ] || left=$((left - 1)) # a little early rather than late
		if [ -n "$left" ] && [ "$left" -le 0 ]; then
			left=''
			authenticate
		fi
	done
}

# renew_in notes seconds for the clock: written aside first, so that the clock
# reads all or nothing.
renew_in() {
	echo "$1" >"$dir/note" && mv "$dir/note" "$dir/renew_in"
}

# show_lines shows what comes and acts on the lines that matter here. All others,
# known or not, are for the person.
show_lines() {
	met=''
	while IFS= read -r line; do
		printf '%s\n' "$line"
		case $line in
		'from server: '*) ;; # data, whatever it looks like
		'OK AUTH '*)
			met=yes
			seconds=${line#* reauth_in=}
			renew_in "${seconds%%[!0-9]*}"
			;;
		'NOTICE reauth '*) renew_in 0 ;;
		'BYE '*) exit 1 ;;
		esac
	done
	[ -n "$met" ] || fail 1 "no session: is a gateway at $host port $port?"
	[ -e "$dir/typed" ] || fail 1 "the gateway closed without a BYE"
}

# Three write to nc: who types, the clock's pings, and its renewals. They share
# a FIFO, which keeps lines whole that are written at once and are no longer
# than PIPE_BUF: 4096 bytes on Linux, and tokens rarely have half of that.
mkfifo "$dir/out" "$dir/in" || exit 1
nc -N "$host" "$port" <"$dir/out" >"$dir/in" & # -N: pass on the end of input
nc=$!
exec 3>"$dir/out" 4<"$dir/in" 5<&0
authenticate || exit 1
run_clock 4<&- 5<&- &
clock=$!
type_lines <&5 4<&- 2>/dev/null &
typist=$!
exec 3>&- 5<&-
show_lines <&4
