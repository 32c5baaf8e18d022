package client_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

func TestEnds(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for name, test := range map[string]struct {
		sent string // without its last LF
		want client.End
	}{
		"BYE": {
			"BYE idle_timeout action=retry retry_after=3 :超时断开连接\n",
			client.End{Code: "idle_timeout", Action: wire.Retry, RetryAfter: 3 * time.Second, Text: "超时断开连接"},
		},
		"BYE that asks for a token": {
			"BYE token_revoked action=reauth :gone\n",
			client.End{Code: "token_revoked", Action: wire.Reauth, Text: "gone"},
		},
		"unknown action is retry": {
			"BYE moon_phase action=dance :\n",
			client.End{Code: "moon_phase", Action: wire.Retry},
		},
		"no BYE":      {"", client.End{Err: io.EOF}},
		"half a line": {"from serv", client.End{Err: io.ErrUnexpectedEOF}},
		"draining, then no BYE": {
			"NOTICE draining retry_after=9\n",
			client.End{RetryAfter: 9 * time.Second, Err: io.EOF},
		},
		"draining, then a BYE that says less": {
			"NOTICE draining retry_after=9\nBYE draining action=retry :\n",
			client.End{Code: "draining", RetryAfter: 9 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				conn, p := open(t, g, g.config(&numbered{}), okLine)
				go func() {
					_, _ = p.nc.Write([]byte(test.sent))
					p.nc.Close()
				}()
				end, ok := errors.AsType[*client.End](<-consume(conn))
				if !ok || *end != test.want {
					t.Errorf("got %+v, want %+v", end, test.want)
				}
				if err := conn.Send(t.Context(), []byte("x")); err != error(end) {
					t.Errorf("Send afterwards: %v", err)
				}
			})
		})
	}
	for name, test := range map[string]struct {
		line string
		ok   bool
	}{
		"control line of 1024 bytes":    {"NOTICE " + long[:1024-8], true},
		"control line of 1025":          {"NOTICE " + long[:1025-8], false},
		"data of max_line + 14":         {"from server: " + long + long[:976], true},
		"data of one more":              {"from server: " + long + long[:977], false},
		"control line without any LF":   {"NOTICE " + long + long + long, false},
		"an endless line of data bytes": {"from server: " + long + long + long, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				conn, p := open(t, g, g.config(&numbered{}), "OK AUTH max_line=2000")
				go func() { _, _ = p.nc.Write([]byte(test.line + "\n")) }()
				_, err := conn.Receive(t.Context())
				if (err == nil) != test.ok {
					t.Errorf("got %v", err)
				}
				if end, isEnd := errors.AsType[*client.End](err); err != nil && (!isEnd || end.Action != wire.Retry) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestDeadGatewayIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), "OK AUTH idle_timeout=30")
		go func() { _, _ = io.Copy(io.Discard, p.nc) }() // takes all, answers nothing
		end, ok := errors.AsType[*client.End](<-consume(conn))
		if !ok || end.Action != wire.Retry || end.Code != "" {
			t.Errorf("got %v", end)
		}
		g.at(30 * time.Second)
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		cfg := g.config(&numbered{})
		cfg.WriteTimeout = 3 * time.Second
		conn, p := open(t, g, cfg, okLine)
		over := consume(conn)
		if err := conn.Send(t.Context(), []byte("nobody takes this")); err == nil {
			t.Error("sent")
		}
		g.at(3 * time.Second)
		// There is still a moment in which a BYE can tell why.
		p.talk("S: BYE slow_consumer action=retry :")
		if end, ok := errors.AsType[*client.End](<-over); !ok || end.Code != "slow_consumer" {
			t.Errorf("got %v", end)
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	// synctest fails a test whose goroutines do not end.
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), okLine)
		go p.talk("S: from server: that nobody receives")
		synctest.Wait()
		conn.Close()
		conn.Close()
	})
}
