package session

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/linegate/linegate/wire"
)

// FuzzMachine throws bytes at the machine, whole and cut as the fuzzer likes,
// and holds it to what is true of any conversation.
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
		f.Add([]byte(said.String()), uint8(1))
		f.Add([]byte(said.String()), uint8(7))
	}
	f.Add([]byte("AUTH alice.300\n"+strings.Repeat("x", 300)+"\n"), uint8(100))
	rules := Rules{MaxLine: 64, MaxAuthLine: 128}
	f.Fuzz(func(t *testing.T, sent []byte, cut uint8) {
		whole := newBench(rules)
		whole.in = bytes.Clone(sent)
		whole.run()

		parts := newBench(rules)
		size := int(cut)%32 + 1
		for rest := sent; len(rest) > 0; {
			n := min(size, len(rest))
			parts.in = append(parts.in, rest[:n]...)
			rest = rest[n:]
			parts.run()
			if parts.m.need() == needInput && len(parts.in) > 128 {
				t.Fatalf("keeps %d bytes, past every limit", len(parts.in))
			}
		}
		if !bytes.Equal(whole.out, parts.out) || whole.m.end != parts.m.end {
			t.Fatalf("cut into %d: %q, %v; whole: %q, %v", size, parts.out, parts.m.end, whole.out, whole.m.end)
		}
		checkConversation(t, whole.out, whole.m.need() == needNothing)
	})
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
