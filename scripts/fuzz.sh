#!/bin/sh
# fuzz.sh [TIME [PATTERN]]: runs every fuzz target of the tree, or those whose name
# the pattern matches (with a ! before it: those that it does not), each for the time
# given (30s, or a count such as 100000x), as many at once as there are processors,
# one worker each: so none of them waits for another's end. Starts no other after a
# finding, whose input go test has then written to the package's testdata/fuzz.
# Finding no target at all is an error.
set -eu

# one TIME PACKAGE TARGET: runs one of them, and then shows what it said. 255
# has xargs start no other.
one() {
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	status=0
	fuzz "$@" || { deadline_only && fuzz "$@"; } || status=255
	grep -q '^fuzz: elapsed' "$log" || { echo "fuzz: $3 did not run" >>"$log"; status=255; }
	{ echo "== $2 $3 $1"; brief; }
	exit "$status"
}

# fuzz TIME PACKAGE TARGET: go test's own exit status. A minute of shrinking each
# interesting input, the default, would be all the time.
fuzz() {
	go test -run '^$' -fuzz "^$3\$" -fuzztime "$1" -fuzzminimizetime 1s -parallel 1 "$2" >"$log" 2>&1
}

# At the end of its time go test can mistake its own deadline for a failure:
# no input is written and nothing is said but this line. Such a run is repeated.
deadline_only() {
	grep -q '^ *context deadline exceeded$' "$log" &&
		! grep -Eq 'Failing input|seed corpus entry|panic|hung or terminated' "$log"
}

# brief: of the lines that tell how far it is, the last.
brief() { awk '/^fuzz: elapsed/ { last = $0; next } last != "" { print last; last = "" } { print }' "$log"; }

if [ "${1:-}" = --one ]; then
	shift
	one "$@"
fi

time=${1:-30s} pattern=${2:-.}
case $pattern in !*) match=-vE pattern=${pattern#!} ;; *) match=-E ;; esac
targets=$(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . |
	sed 's|/[^/]*:func | |' | sort | grep $match -- "$pattern") || true
test -n "$targets" || { echo "fuzz: no target found" >&2; exit 1; }
echo "$targets" | xargs -L 1 -P "$(getconf _NPROCESSORS_ONLN)" sh "$0" --one "$time"
echo "fuzz: $(echo "$targets" | wc -l) targets, $time each"
