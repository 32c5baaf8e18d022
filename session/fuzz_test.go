package session

import (
	"bytes"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// FuzzMachine throws bytes and orders at the machine, the bytes whole and cut as
// the fuzzer likes, and holds it to what is true of any conversation. Each pair
// in orders is how many bytes come before the order, and its place in the list
// of fuzzOrders.
func FuzzMachine(f *testing.F) {
	names, err := filepath.Glob("testdata/dialogues/*.txt")
	if err != nil || len(names) == 0 {
		f.Fatalf("no dialogues: %v", err)
	}
	for _, name := range names {
		d, err := readDialogue(name)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for _, s := range d.steps {
			if s.verb == "C:" || s.verb == "C>" {
				said.WriteString(s.text)
			}
		}
		f.Add([]byte(said.String()), uint8(1), []byte{})
		f.Add([]byte(said.String()), uint8(7), []byte{})
	}
	f.Add([]byte("AUTH alice.300\n"+strings.Repeat("x", 300)+"\n"), uint8(100), []byte{})
	for first := range fuzzOrders {
		for second := range fuzzOrders {
			f.Add([]byte("AUTH alice.300\nAUTH slow-alice.300.k2\nping\nAUTH alice.9.k2\nping\nx\n"), uint8(0),
				[]byte{20, byte(first), 20, byte(second), 10, 0, 10, 1, 1, 2})
		}
	}
	f.Add([]byte("AUTH alice.300\nping\nping\nping\nping\n"), uint8(paced|7), []byte{30, 0, 10, 1})
	f.Fuzz(func(t *testing.T, sent []byte, cut uint8, orders []byte) {
		rules := Rules{MaxLine: 64, MaxAuthLine: 128}
		if cut&paced != 0 {
			rules.LinesPerSecond = 3
		}
		whole, parts := newBench(rules), newBench(rules)
		whole.chance, parts.chance = 0.5, 0.5
		size := int(cut)%32 + 1
		for rest := sent; ; orders = orders[2:] {
			n := len(rest)
			if len(orders) >= 2 {
				n = min(n, int(orders[0]))
			}
			whole.in = append(whole.in, rest[:n]...)
			whole.run()
			for part := range slices.Chunk(rest[:n], size) {
				parts.in = append(parts.in, part...)
				parts.run()
				if parts.m.need() == needInput && len(parts.in) > 128 {
					t.Fatalf("keeps %d bytes, past every limit", len(parts.in))
				}
			}
			rest = rest[n:]
			if len(orders) < 2 {
				break
			}
			order := fuzzOrders[int(orders[1])%len(fuzzOrders)]
			order(whole)
			order(parts)
			checkOver(t, whole)
		}
		if !bytes.Equal(whole.out, parts.out) || whole.m.end != parts.m.end {
			t.Fatalf("cut into %d: %q, %v; whole: %q, %v", size, parts.out, parts.m.end, whole.out, whole.m.end)
		}
		checkConversation(t, whole.out, whole.m.need() == needNothing && whole.m.end.InBye())
	})
}

// paced is the bit of cut that bounds the lines a second.
const paced = 1 << 7

// fuzzOrders are what can happen to a conversation besides bytes.
var fuzzOrders = []func(b *bench){
	func(b *bench) { b.pass(time.Second); b.run() },
	func(b *bench) { b.pass(9 * time.Second); b.run() },
	func(b *bench) { // a token named slow... is judged
		if b.m.need() == needVerdict {
			b.verdict()
		}
		b.run()
	},
	func(b *bench) { b.heed("k1 departing 60") },
	func(b *bench) { b.heed("k1 departed 60") },
	func(b *bench) { b.heed("k1 stands") },
	func(b *bench) { b.heed("k1 withdrawn") },
	func(b *bench) { b.heed("k2 departing 20") },
	func(b *bench) { b.heed("k2 withdrawn") },
	func(b *bench) { b.m.announce(4, &b.reply); b.run() },
	func(b *bench) { b.m.finish(wire.Draining, 4, &b.reply); b.run() },
	func(b *bench) { b.m.finish(wire.TokenRevoked, 0, &b.reply); b.run() },
	func(b *bench) { b.m.finish(wire.ClientClosed, 0, &b.reply); b.run() },
	func(b *bench) { _ = b.push("news"); b.run() },
}

// heed has the session heed how tokens stand, and has nothing revoked that is
// served.
func (b *bench) heed(trust string) {
	b.trust.set(trust)
	b.review()
	b.run()
}

// checkOver: a session whose token is revoked or has expired is over, and has
// the reason that came first.
func checkOver(t *testing.T, b *bench) {
	t.Helper()
	if b.m.stage == open || b.m.stage == renewing {
		if s := b.trust.Standing(b.m.identity.Load()); s.State == auth.Withdrawn || b.m.life.left(b.now) <= 0 {
			t.Fatalf("served: %q", b.out)
		}
	}
	if b.m.stage == ended && b.m.reason != 0 && b.m.end != b.m.reason {
		t.Fatalf("over for %s, and ended for %s", b.m.reason, b.m.end)
	}
}

// checkConversation holds what the gateway said to the protocol.
func checkConversation(t *testing.T, said []byte, ended bool) {
	if len(said) == 0 {
		return
	}
	if said[len(said)-1] != '\n' {
		t.Fatalf("the last line has no end: %q", said)
	}
	lines := strings.Split(strings.TrimSuffix(string(said), "\n"), "\n")
	for i, line := range lines {
		reply := wire.Parse([]byte(line))
		switch {
		case reply.Verb == wire.Unknown:
			t.Fatalf("no line of the protocol: %q", line)
		case i == 0 && reply.Verb != wire.OKAuth && reply.Verb != wire.Bye:
			t.Fatalf("answered before AUTH: %q", line)
		case (reply.Verb == wire.Bye) != (ended && i == len(lines)-1):
			t.Fatalf("BYE is not the last line: %q", said)
		case reply.Verb == wire.Data && len(line) > 64+wire.DataOverhead-1:
			t.Fatalf("a data line of %d bytes", len(line))
		case reply.Verb != wire.Data && len(line) >= wire.MaxControlLine:
			t.Fatalf("a control line of %d bytes", len(line))
		}
		if reply.Verb == wire.OKAuth {
			life, _ := reply.Value("expires_in")
			if n, err := strconv.ParseInt(life, 10, 64); err != nil || n < 0 {
				t.Fatalf("expires_in=%q", life)
			}
		}
	}
}
