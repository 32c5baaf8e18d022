package session

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/wire"
)

// TestEventsHaveTheirTime: however late a record is written, it tells when the
// session opened or closed.
func TestEventsHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		e := newEvents(slog.New(slog.NewTextHandler(&out, nil)))
		_, server := net.Pipe()
		start := time.Now()
		e.add(event{session: &Session{nc: server, sessionID: "S"}, reason: wire.ClientClosed})
		e.flush()
		if !time.Now().After(start) {
			t.Fatal("written at once")
		}
		want := fmt.Sprintf("time=%s level=INFO msg=\"session closed\" session=S reason=%v duration=0s\n",
			start.Format("2006-01-02T15:04:05.000Z07:00"), wire.ClientClosed)
		if out.String() != want {
			t.Errorf("got  %swant %s", &out, want)
		}
	})
}
