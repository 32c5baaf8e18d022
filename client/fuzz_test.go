package client_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// FuzzGateway: whatever a gateway answers to AUTH and says from then on, a device
// takes in, renews and pings when it is told to, and is through within the time
// that the configuration gives, with an error that can be printed.
func FuzzGateway(f *testing.F) {
	for _, said := range []string{
		okLine + "\npong\nfrom server: x\nNOTICE reauth expires_in=5\nERR invalid_token for=auth action=reauth\nBYE draining action=retry retry_after=5 :later\n",
		"OK AUTH\nNOTICE draining retry_after=99999999999999999999\npong\npong\n", "OK AUTH expires_in=-1 reauth_in=0 idle_timeout=0 max_line=0\nOK AUTH\nOK AUTH\n",
		"OK AUTH reauth_in=0 reauth_in=0 expires_in=1\nERR rate_limited for=auth action=retry retry_after=0\n", "BYE \n", "BYE x action=none retry_after=-5 :\x1b[2J\n",
		"HTTP/1.1 400 Bad Request\r\n\r\n", "\x15\x03\x03\x00\x02\x02\x28", "OK AUTH sub=%zz session=%\nfrom server: ", "",
	} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		synctest.Test(t, func(t *testing.T) { meet(t, said) })
	})
}

// meet dials a gateway that says all of this, hears out the device, and closes.
func meet(t *testing.T, said []byte) {
	g := newFakeGateway(t)
	go func() {
		p := g.accept()
		end := time.AfterFunc(time.Minute, func() { p.nc.Close() })
		defer end.Stop()
		go func() { _, _ = p.nc.Write(said) }()
		_, _ = io.Copy(io.Discard, p.nc)
	}()
	began := time.Now()
	conn, err := client.Dial(t.Context(), g.config(&numbered{}))
	if err != nil {
		if took := time.Since(began); took > 30*time.Second {
			t.Fatalf("took %v to fail", took)
		}
		checkEnd(t, err)
		return
	}
	defer conn.Close()
	for {
		reply, err := conn.Receive(t.Context())
		if err != nil {
			checkEnd(t, err)
			break
		}
		if len(reply.Text) > 16<<20 || reply.Verb == wire.Bye {
			t.Fatalf("received %+v", reply)
		}
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Fatalf("took %v to end", took)
	}
}

func checkEnd(t *testing.T, err error) {
	t.Helper()
	if strings.ContainsFunc(err.Error(), unicode.IsControl) || len(err.Error()) > 4096 {
		t.Fatalf("says %q", err.Error())
	}
	if end, ok := errors.AsType[*client.End](err); ok && end.RetryAfter < 0 {
		t.Fatalf("wants to wait for %v", end.RetryAfter)
	}
}
