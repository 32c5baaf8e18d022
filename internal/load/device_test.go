package load

import (
	"strings"
	"testing"
	"time"
)

// What comes is judged alike however it is cut, and lines that stand between
// replies are no fault.
func TestDeviceTakes(t *testing.T) {
	for name, test := range map[string]struct {
		protocol Protocol
		in       string // after three pings; @ stands for the echoes due
		echoes   bool
		replies  int
		lost     string // the kind of failure; empty: all is answered
	}{
		"pongs":             {Linegate, "pong\npong\npong\n", false, 3, ""},
		"a notice":          {Linegate, "pong\nNOTICE reauth expires_in=30\npong\npong\n", false, 3, ""},
		"notices around":    {Linegate, "NOTICE draining retry_after=3\npong\npong\npong\nNOTICE x\n", false, 3, ""},
		"too few":           {Linegate, "pong\npong\n", false, 2, "wait"},
		"another pong":      {Linegate, "pong\npong\r\npong\n", false, 1, wrongReply},
		"data":              {Linegate, "pong\nfrom server: pong\n", false, 1, wrongReply},
		"BYE":               {Linegate, "pong\nBYE idle_timeout action=retry :超时断开连接\n", false, 1, "bye idle_timeout"},
		"ERR":               {Linegate, "ERR internal_error for=message action=retry\n", false, 0, "err internal_error"},
		"echoes":            {Linegate, "@", true, 3, ""},
		"a notice in them":  {Linegate, "NOTICE x\n@NOTICE y\n", true, 3, ""},
		"another echo":      {Linegate, "from server: xx0-1\n", true, 0, wrongReply},
		"no AUTH":           {Lines, "pong\npong\npong\n", false, 3, ""},
		"a notice, no AUTH": {Lines, "NOTICE x\n", false, 0, wrongReply},
		"Redis":             {Redis, "+PONG\r\n+PONG\r\n+PONG\r\n", false, 3, ""},
		"Redis, echoes":     {Redis, "@", true, 3, ""},
		"Redis, error":      {Redis, "+PONG\r\n-NOAUTH Authentication required.\r\n", false, 1, "err noauth"},
		"Redis, odd":        {Redis, "$4\r\nPONG\r\n", false, 0, wrongReply},
		"NATS":              {NATS, "PONG\r\nPING\r\nPONG\r\nINFO {}\r\nPONG\r\n", false, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := strings.ReplaceAll(test.in, "@", string(newDevice(t, test.protocol, test.echoes).due))
			for cut := range len(in) {
				takes(t, newDevice(t, test.protocol, test.echoes), test.replies, test.lost, in[:cut], in[cut:])
			}
			takes(t, newDevice(t, test.protocol, test.echoes), test.replies, test.lost, strings.Split(in, "")...)
		})
	}
}

// newDevice is a device inside that waits for three replies.
func newDevice(t *testing.T, protocol Protocol, echoes bool) *device {
	t.Helper()
	p, err := newPlan(Config{Protocol: protocol, Pipeline: 3, Size: 5})
	if err != nil {
		t.Fatal(err)
	}
	d := &device{plan: p, tally: newTally(), id: 7, stage: inside}
	if echoes {
		d.echoes(3, 0)
	} else {
		d.pings(3, 0)
	}
	return d
}

func takes(t *testing.T, d *device, replies int, lost string, pieces ...string) {
	t.Helper()
	got := ""
	for _, piece := range pieces {
		if d.take(time.Second, []byte(piece)) == failed {
			got = d.lost.kind
			break
		}
	}
	if got == "" && d.waits() {
		got = "wait"
	}
	if got != lost || d.tally.messages != replies {
		t.Fatalf("%d replies and %q, want %d and %q; came as %q", d.tally.messages, got, replies, lost, pieces)
	}
}

// Texts have the size asked for and are told apart as far as that allows.
func TestDeviceTexts(t *testing.T) {
	for size, want := range map[int][]string{
		1:  {"1", "2"},
		3:  {"7x1", "7x2"},
		8:  {"xxxxx7x1", "xxxxx7x2"},
		20: {"xxxxxxxxxxxxxxxxx7x1", "xxxxxxxxxxxxxxxxx7x2"},
	} {
		p, err := newPlan(Config{Protocol: Linegate, Pipeline: 1, Size: size})
		if err != nil {
			t.Fatal(err)
		}
		d := &device{plan: p, id: 7}
		for _, text := range want {
			if got := string(d.nextText()); got != text {
				t.Errorf("size %d: %q, want %q", size, got, text)
			}
		}
	}
}

// A device is let in by the server's own word, and by no other.
func TestDeviceOpens(t *testing.T) {
	for name, test := range map[string]struct {
		protocol Protocol
		hello    string
		answer   string
		want     event
		kind     string
	}{
		"linegate":          {Linegate, "AUTH tok\n", okLine, entered, ""},
		"linegate, unknown": {Linegate, "AUTH tok\n", "NOTICE hello\n" + okLine, entered, ""},
		"linegate, refused": {Linegate, "AUTH tok\n", "BYE invalid_token action=reauth :no\n", failed, "bye invalid_token"},
		"linegate, odd":     {Linegate, "AUTH tok\n", "HTTP/1.1 400 Bad Request\r\n", failed, wrongReply},
		"lines":             {Lines, "ping\n", "pong\n", entered, ""},
		"lines, odd":        {Lines, "ping\n", "from server: ping\n", failed, wrongReply},
		"redis":             {Redis, "*2\r\n$4\r\nAUTH\r\n$3\r\ntok\r\n", "+OK\r\n", entered, ""},
		"redis, refused":    {Redis, "*2\r\n$4\r\nAUTH\r\n$3\r\ntok\r\n", "-WRONGPASS invalid\r\n", failed, "err wrongpass"},
		"nats":              {NATS, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n", "INFO {}\r\nPONG\r\n", entered, ""},
		"nats, refused":     {NATS, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n", "INFO {}\r\n-ERR 'no'\r\n", failed, wrongReply},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newPlan(Config{Protocol: test.protocol, Pipeline: 1})
			if err != nil {
				t.Fatal(err)
			}
			for cut := range len(test.answer) {
				d := &device{plan: p, tally: newTally(), token: "tok"}
				d.connecting(0)
				d.hello()
				if string(d.send) != test.hello {
					t.Fatalf("says %q", d.send)
				}
				got := d.take(1, []byte(test.answer[:cut]))
				if got == none {
					got = d.take(2, []byte(test.answer[cut:]))
				}
				if got != test.want || d.lost.kind != test.kind {
					t.Fatalf("event %d, %q", got, d.lost.kind)
				}
			}
		})
	}
}
