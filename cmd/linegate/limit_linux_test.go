package main

import (
	"math"

	"golang.org/x/sys/unix"
)

const unlimited = math.MaxUint64

// limit sets how much the process may have of a resource from now on, as far as
// that was not forbidden before. What it has stays.
func (p *process) limit(resource int, most uint64) {
	p.t.Helper()
	var limit unix.Rlimit
	err := unix.Prlimit(p.cmd.Process.Pid, resource, nil, &limit)
	if err == nil {
		limit.Cur = min(most, limit.Max)
		err = unix.Prlimit(p.cmd.Process.Pid, resource, &limit, nil)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
