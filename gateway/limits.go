package gateway

import "syscall"

// Limits bound what is admitted. A zero field takes its default.
type Limits struct {
	// Connections is how many are served at once: by default, and at most, what
	// the process's file limit allows, less a reserve for the operator's HTTP,
	// key fetches and connections that are told to come back.
	Connections int
	// Unauthenticated is how many of them may be strangers: by default a
	// quarter. When full, the one that has waited longest gives way, unless
	// its AUTH is being checked.
	Unauthenticated int
}

func (l Limits) withDefaults() Limits {
	most := connectionsFromFileLimit()
	if l.Connections == 0 || l.Connections > most {
		l.Connections = most
	}
	if l.Unauthenticated == 0 {
		l.Unauthenticated = max(1, l.Connections/4)
	}
	return l
}

// reserve is how many descriptors are kept back for what is no connection that is
// served: those that are refused, the operator's HTTP and the admin API, whose
// connections internal/app bounds, fetches of keys, files.
const reserve = maxRefused + 128

// connectionsFromFileLimit keeps back one descriptor in 50, and the reserve.
func connectionsFromFileLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1000
	}
	const plenty = 1 << 20
	files := int(min(limit.Cur, plenty))
	return max(1, files-files/50-reserve)
}

// SetLimits replaces the limits. Connections that are there stay.
func (g *Gateway) SetLimits(l Limits) {
	l = l.withDefaults()
	g.metrics.limit.Store(int64(l.Connections))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = l
}

// SetMemoryShort has all that connect told to come back, until it is called with
// false. Connections that are there stay.
func (g *Gateway) SetMemoryShort(short bool) {
	g.metrics.memoryShort.Store(short)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.short = short
}

// Limits returns the limits in force, defaults filled in.
func (g *Gateway) Limits() Limits {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limits
}
