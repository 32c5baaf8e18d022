package session

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"testing"
)

// TestNobodyStarves: with a single processor, and three clients that never pause,
// whoever says something now and then is served when each of them has had its turn,
// of half a millisecond. Counted in lines, so that it does not matter what else the
// machine does: without turns some 1,500,000 are served before one, with them a tenth
// of that.
func TestNobodyStarves(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	srv := newServer(t, Config{})
	served := func() int64 { return srv.metrics.lines[pingLine].Load() }
	lines := bytes.Repeat([]byte("ping\n"), 13_000)
	for range 3 {
		client, server := tcpPair(t)
		_, in, ended := connect(t, srv, client, server)
		go func() { _, _ = io.Copy(io.Discard, in) }()
		go func() {
			for {
				if _, err := client.Write(lines); err != nil {
					return
				}
			}
		}()
		defer func() { client.Close(); <-ended }()
	}
	client, server := tcpPair(t)
	_, in, ended := connect(t, srv, client, server)
	defer func() { client.Close(); <-ended }()
	for served() < 200_000 { // until all are at it
		runtime.Gosched()
	}
	between := make([]int64, 31)
	for i := range between {
		io.WriteString(client, "here?\n")
		before := served()
		expect(t, in, "from server: here?\n")
		between[i] = served() - before
	}
	slices.Sort(between)
	if median := between[len(between)/2]; median > 600_000 {
		t.Errorf("%d lines of others are served before one", median)
	} else {
		t.Logf("%d lines of others are served before one", median)
	}
}
