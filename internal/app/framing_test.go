package app

import (
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/wire"
)

// talk is all that a client says, and all that it is answered. {good} and {forged}
// stand for tokens, OK for the line that begins so.
type talk struct {
	name   string
	says   string
	ends   bool // its stream, behind that
	hears  string
	reason wire.Code
}

// The limits of lines in this table: {good} with a CR behind it is as long as an AUTH
// line may be.
const maxLine = 64

var (
	atLimit = strings.Repeat("x", maxLine)
	echoed  = "from server: "
	bye     = "BYE invalid_request action=fix :the first line must be AUTH and a token\n"
	tooLong = "BYE line_too_long action=fix :a line exceeded its limit\n"
	badBye  = "BYE invalid_token action=reauth :the token was refused\n"
	badErr  = "ERR invalid_request for=auth action=fix\n"
)

var talks = []talk{
	// Before AUTH.
	{"an empty line", "\n", false, bye, wire.InvalidRequest},
	{"an empty line that ends in CRLF", "\r\n", false, bye, wire.InvalidRequest},
	{"100,000 empty lines", manyLines, false, bye, wire.InvalidRequest},
	{"a command", "ping\n", false, bye, wire.InvalidRequest},
	{"AUTH alone", "AUTH\n", false, bye, wire.InvalidRequest},
	{"AUTH behind an empty line", "\nAUTH {good}\nping\n", false, bye, wire.InvalidRequest},
	{"a NUL before AUTH", "\x00AUTH {good}\nping\n", false, bye, wire.InvalidRequest},
	{"a byte order mark before AUTH", "\xef\xbb\xbfAUTH {good}\nping\n", false, bye, wire.InvalidRequest},
	{"a NUL behind the token", "AUTH {good}\x00\nping\n", false, bye, wire.InvalidRequest},
	{"a bare CR behind the token", "AUTH {good}\rping\n", false, bye, wire.InvalidRequest},
	{"invalid UTF-8", "\xff\xfe\xc0\n", false, bye, wire.InvalidRequest},
	{"invalid UTF-8 for a token", "AUTH \xff\xfe\nping\n", false, bye, wire.InvalidRequest},
	{"a line at the limit", atLimit + "\n", false, bye, wire.InvalidRequest},
	{"one over, and no newline", atLimit + "x", false, bye, wire.InvalidRequest},
	{"an AUTH at the limit", "AUTH {good}\r\n", true, "OK\n", wire.ClientClosed},
	{"an AUTH one over", "AUTH {good}x\r\nping\n", false, bye, wire.InvalidRequest},
	{"an AUTH one over, and no newline", "AUTH {good}xx", false, bye, wire.InvalidRequest},
	{"no newline, then the end", "AUTH {good}", true, "", wire.ClientClosed},
	{"half an AUTH, then the end", "AUT", true, "", wire.ClientClosed},
	{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", false, bye, wire.InvalidRequest},
	{"version 2 of HTTP", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", false, bye, wire.InvalidRequest},
	{"SSH", "SSH-2.0-OpenSSH_9.9\r\n", false, bye, wire.InvalidRequest},

	// AUTH and commands in one packet.
	{"a good AUTH and commands", "AUTH {good}\nping\nhello\nping\n", true, "OK\npong\n" + echoed + "hello\npong\n", wire.ClientClosed},
	{"a forged AUTH and commands", "AUTH {forged}\nping\nhello\n", false, badBye, wire.InvalidToken},
	{"a forged AUTH and a good one", "AUTH {forged}\nAUTH {good}\nping\n", false, badBye, wire.InvalidToken},
	{"a mistyped AUTH and commands", "AUTH  {good}\nping\nhello\n", false, bye, wire.InvalidRequest},
	{"two good AUTHs", "AUTH {good}\nAUTH {good}\nping\n", true, "OK\nOK\npong\n", wire.ClientClosed},

	// In a session.
	{"a bare CR", "AUTH {good}\na\rb\nping\n", true, "OK\n" + echoed + "a\rb\npong\n", wire.ClientClosed},
	{"CRCRLF", "AUTH {good}\na\r\r\nping\r\r\nping\n", true, "OK\n" + echoed + "a\npong\npong\n", wire.ClientClosed},
	{"CR is no line's end", "AUTH {good}\nping\rping\r\n", true, "OK\n" + echoed + "ping\rping\n", wire.ClientClosed},
	{"NULs", "AUTH {good}\n\x00\na\x00b\nping\n", true, "OK\n" + echoed + "\x00\n" + echoed + "a\x00b\npong\n", wire.ClientClosed},
	{"invalid UTF-8 in a message", "AUTH {good}\n\xff\xc0\x80\nping\n", true, "OK\n" + echoed + "\xff\xc0\x80\npong\n", wire.ClientClosed},
	{"empty lines", "AUTH {good}\n\n\r\n \nping\n", true, "OK\n" + strings.Repeat(echoed+"\n", 3) + "pong\n", wire.ClientClosed},
	{"100,000 empty lines in a session", "AUTH {good}\n" + manyLines, true, "OK\n" + strings.Repeat(echoed+"\n", len(manyLines)), wire.ClientClosed},
	{"a mistyped AUTH in a session", "AUTH {good}\nAUTH\x00\nAUTH  {good}\nAUTH\nping\n", true, "OK\n" + echoed + "AUTH\x00\n" + badErr + badErr + "pong\n", wire.ClientClosed},
	{"lines at the limit", "AUTH {good}\n" + atLimit + "\n" + atLimit[1:] + "\r\nping\n", true, "OK\n" + echoed + atLimit + "\n" + echoed + atLimit[1:] + "\npong\n", wire.ClientClosed},
	{"a line one over", "AUTH {good}\nping\n" + atLimit + "x\nping\n", false, "OK\npong\n" + tooLong, wire.LineTooLong},
	{"a line one over with its CR", "AUTH {good}\nping\n" + atLimit + "\r\nping\n", false, "OK\npong\n" + tooLong, wire.LineTooLong},
	{"a line one over, and no newline", "AUTH {good}\nping\n" + atLimit + "x", false, "OK\npong\n" + tooLong, wire.LineTooLong},
	{"a renewal one over", "AUTH {good}\nping\nAUTH {good}x\r\nping\n", false, "OK\npong\n" + tooLong, wire.LineTooLong},
	{"the end without a newline", "AUTH {good}\nping\nping", true, "OK\npong\n", wire.ClientClosed},
	{"the end in a message", "AUTH {good}\nhello\nhel", true, "OK\n" + echoed + "hello\n", wire.ClientClosed},
	{"the end in a renewal", "AUTH {good}\nping\nAUTH {good}", true, "OK\npong\n", wire.ClientClosed},
}

var manyLines = strings.Repeat("\n", 100_000)

// TestFraming: whatever a client sends, in one piece, byte by byte or cut in two at
// any byte, gets the same answers and ends for the same reason, while a session
// beside it is served, and leaves nothing behind. Under TLS tokens are cut at every
// 16th byte.
func TestFraming(t *testing.T) {
	f := newFraming(t, nil)
	for _, over := range transports {
		t.Run(over.name, func(t *testing.T) {
			f.beside(t, func() {
				for _, row := range talks {
					t.Run(row.name, func(t *testing.T) { f.in(t).cuts(row, over.tls) })
				}
			})
		})
	}
}

var transports = []struct {
	name string
	tls  bool
}{{"tcp", false}, {"tls", true}}

// framing is a gateway with short limits, and a session of it that is served.
type framing struct {
	*running
	good, forged string
}

func newFraming(t *testing.T, change func(*config.Config)) *framing {
	t.Helper()
	f := &framing{running: start(t, func(c *config.Config) {
		c.Session.MaxLine = maxLine
		if change != nil {
			change(c)
		}
	})}
	f.waitReady()
	f.good = f.issuer.Token()
	f.forged = f.issuer.Token(authtest.ForgedBy(forger))
	next := *f.cfg
	next.Session.MaxAuthLine = config.Size(len("AUTH " + f.good + "\r"))
	if err := f.Reload(&next); err != nil {
		t.Fatal(err)
	}
	return f
}

// in has failures reported by t.
func (f *framing) in(t *testing.T) *framing {
	r := *f.running
	r.t = t
	return &framing{running: &r, good: f.good, forged: f.forged}
}

// beside runs attacks while two sessions ping. They are answered all the time, and
// what the attacks needed is gone behind them.
func (f *framing) beside(t *testing.T, attacks func()) {
	t.Helper()
	f = f.in(t)
	warmUp := f.login(true)
	warmUp.Close()
	var stop atomic.Bool
	var pinging sync.WaitGroup
	var answered [2]atomic.Int64
	for i := range answered {
		d := f.login(i == 1)
		pinging.Go(func() {
			defer d.Close()
			for !stop.Load() {
				_ = d.SetDeadline(time.Now().Add(20 * time.Second))
				_, _ = io.WriteString(d, "ping\n")
				if line, err := d.in.ReadString('\n'); line != "pong\n" {
					t.Errorf("a session beside: %q, %v", line, err)
					return
				}
				answered[i].Add(1)
				time.Sleep(time.Millisecond) // it is not what is measured
			}
		})
	}
	f.waitFor("alone", func() bool { return f.metric("linegate_connections_open") == 2 })
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	attacks()
	f.waitFor("left alone", func() bool { return f.metric("linegate_connections_open") == 2 })
	f.waitFor("back to as many goroutines and files as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
	})
	stop.Store(true)
	pinging.Wait()
	for i := range answered {
		if answered[i].Load() == 0 {
			t.Errorf("session %d beside was not served", i)
		}
	}
	f.waitFor("empty", func() bool { return f.metric("linegate_connections_open") == 0 })
}

// cuts plays a talk in every way to cut it.
func (f *framing) cuts(row talk, secure bool) {
	f.t.Helper()
	before := f.closed()
	step := 1
	if secure {
		step = 16
	}
	ways := f.ways(row.says, step)
	f.atOnce(len(ways), func(i int) {
		if heard, err := f.play(row, ways[i], secure); (heard != row.hears || err != nil) && !f.t.(*testing.T).Failed() {
			f.t.Errorf("%s: heard %.300q, %v", ways[i].name, heard, err)
		}
	})
	f.expectClosed(before, row.reason, len(ways))
}

// way is one way to cut a text.
type way struct {
	name  string
	parts []string
}

// ways cuts a text with its tokens: at every byte, in tokens at every so many, and
// what is very long in the middle only.
func (f *framing) ways(text string, inTokens int) []way {
	ways := []way{{"whole", []string{f.filled(text)}}}
	at, inToken, filled := 0, 0, f.filled(text)
	if len(text) > 10_000 {
		return append(ways, way{"cut in the middle", []string{filled[:len(filled)/2], filled[len(filled)/2:]}})
	}
	for ; at < len(filled); at++ {
		if len(filled)-at >= len(f.good) && (strings.HasPrefix(filled[at:], f.good) || strings.HasPrefix(filled[at:], f.forged)) {
			inToken = len(f.good)
		}
		inToken--
		if at > 0 && (inToken <= 0 || inToken%inTokens == 0) {
			ways = append(ways, way{fmt.Sprintf("cut at %d", at), []string{filled[:at], filled[at:]}})
		}
	}
	return append(ways, way{"byte by byte", strings.Split(filled, "")})
}

func (f *framing) filled(text string) string {
	return strings.NewReplacer("{good}", f.good, "{forged}", f.forged).Replace(text)
}

// play says the parts, and returns all that the gateway answers until it ends the
// stream.
func (f *framing) play(row talk, w way, secure bool) (heard string, err error) {
	nc := f.connect(secure, false)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	said := make(chan struct{})
	go func() {
		defer close(said)
		for _, part := range w.parts {
			if _, err := io.WriteString(nc, part); err != nil {
				return // it has its answer
			}
			runtime.Gosched()
		}
		if row.ends {
			_ = nc.(interface{ CloseWrite() error }).CloseWrite()
		}
	}()
	all, err := io.ReadAll(nc)
	<-said
	return okLine.ReplaceAllString(string(all), "OK\n"), err
}

var okLine = regexp.MustCompile(`(?m)^OK AUTH v=1 sub=[!-~]+ session=[A-Z0-9]{26} expires_in=\d+ reauth_in=\d+ idle_timeout=\d+ max_line=64\n`)

// atOnce does n things, some of them at once.
func (f *framing) atOnce(n int, do func(i int)) {
	const workers = 64
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// closed returns how many connections ended, by reason.
func (f *framing) closed() map[wire.Code]float64 {
	f.t.Helper()
	_, body := f.get("/metrics")
	counts := map[wire.Code]float64{}
	for _, reason := range wire.EndReasons() {
		counts[reason] = metricOf(f.t, body, "linegate_connections_closed_total", `reason="`+reason.String()+`"`)
	}
	return counts
}

// expectClosed waits until n more connections ended, all of them for reason.
func (f *framing) expectClosed(before map[wire.Code]float64, reason wire.Code, n int) {
	f.t.Helper()
	var now map[wire.Code]float64
	f.waitFor("closed", func() bool {
		now = f.closed()
		var more float64
		for reason := range now {
			more += now[reason] - before[reason]
		}
		return more >= float64(n)
	})
	for code := range now {
		want := 0
		if code == reason {
			want = n
		}
		if more := now[code] - before[code]; more != float64(want) {
			f.t.Errorf("closed for %s: %v more, want %d", code, more, want)
		}
	}
}
