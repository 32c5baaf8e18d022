package session

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
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

// TestLoggingPanics: a record that cannot be made costs itself alone, and not the
// process, and what the panic says is not logged.
func TestLoggingPanics(t *testing.T) {
	var log bytes.Buffer
	srv := newServer(t, Config{Log: slog.New(panickyHandler{slog.NewTextHandler(&log, nil)})})
	for _, name := range []string{"mallory", "alice"} {
		client, server := net.Pipe()
		_, _, ended := connectAs(t, srv, client, server, name)
		client.Close()
		<-ended
	}
	srv.Flush()
	if said := log.String(); !strings.Contains(said, "logging of a session panicked") ||
		!strings.Contains(said, "subject=alice") || strings.Contains(said, "secret") {
		t.Errorf("the log: %s", said)
	}
}

// panickyHandler panics over whatever is said of mallory.
type panickyHandler struct{ slog.Handler }

func (h panickyHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.String() == "mallory" {
			panic("with a secret")
		}
		return true
	})
	return h.Handler.Handle(ctx, r)
}
