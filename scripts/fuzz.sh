#!/bin/sh
# Runs every fuzz target of the tree, one after the other, each for the time
# given (30s, or a count such as 100000x). Stops at a finding, whose input go
# test has then written to the package's testdata/fuzz. Finding no target at
# all is an error.
set -eu
time=${1:-30s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE TARGET: go test's own exit status, its output shown and kept. A
# minute of shrinking each interesting input, the default, would be all the time.
fuzz() {
	{ go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 1s "$1" 2>&1; echo "exit=$?"; } |
		tee "$log" | sed '/^exit=/d'
	grep -qx 'exit=0' "$log"
}

# At the end of its time go test can mistake its own deadline for a failure:
# no input is written and nothing is said but this line. Such a run is repeated.
deadline_only() {
	grep -q '^ *context deadline exceeded$' "$log" &&
		! grep -Eq 'Failing input|seed corpus entry|panic|hung or terminated' "$log"
}

targets=$(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . |
	sed 's|/[^/]*:func | |' | sort)
test -n "$targets" || { echo "fuzz: no target found" >&2; exit 1; }

echo "$targets" | while read -r package target; do
	echo "== $package $target $time"
	fuzz "$package" "$target" </dev/null ||
		{ deadline_only && fuzz "$package" "$target" </dev/null; } || exit 1
	grep -q '^fuzz: elapsed' "$log" || { echo "fuzz: $package $target did not run" >&2; exit 1; }
done
