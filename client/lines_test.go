package client

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/linegate/linegate/wire"
)

// Whatever a gateway sends, however it is cut: lines come out as they went in,
// and none is longer than the protocol allows.
func FuzzLines(f *testing.F) {
	f.Add([]byte("OK AUTH v=1 sub=a max_line=20\npong\nfrom server: x\r\n"), uint16(20))
	f.Add([]byte("BYE idle_timeout action=retry :\n"), uint16(0))
	f.Add(append([]byte(wire.DataPrefix), bytes.Repeat([]byte("x"), 5000)...), uint16(4000))
	f.Add(bytes.Repeat([]byte("NOTICE "), 200), uint16(8192))
	f.Fuzz(func(t *testing.T, sent []byte, maxText uint16) {
		whole := newLineReader(bytes.NewReader(sent))
		bytewise := newLineReader(iotest.OneByteReader(bytes.NewReader(sent)))
		rest := sent
		for {
			line, err := whole.next(int(maxText))
			again, againErr := bytewise.next(int(maxText))
			if !bytes.Equal(line, again) || err != againErr {
				t.Fatalf("whole: %q, %v; byte by byte: %q, %v", line, err, again, againErr)
			}
			want, after, complete := bytes.Cut(rest, []byte("\n"))
			switch {
			case err == nil:
				if !complete || !bytes.Equal(line, want) {
					t.Fatalf("got %q, want %q", line, want)
				}
				isData := bytes.HasPrefix(line, []byte(wire.DataPrefix))
				if n := len(line) + 1; n > wire.MaxControlLine && (!isData || n > int(maxText)+wire.DataOverhead) {
					t.Fatalf("a line of %d bytes", n)
				}
				sessionOf(wire.Parse(line))
				rest = after
				continue
			case err == io.EOF:
				if len(rest) > 0 {
					t.Fatalf("lost %q", rest)
				}
			case err == io.ErrUnexpectedEOF:
				if complete || len(rest) == 0 {
					t.Fatalf("cut short: %q", rest)
				}
			case len(want) < wire.MaxControlLine:
				t.Fatalf("%v for %d bytes", err, len(want))
			}
			return
		}
	})
}
