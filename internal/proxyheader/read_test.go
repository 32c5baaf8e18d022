package proxyheader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pires/go-proxyproto"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// block is a version 2 header with a length that fits.
func block(command, family byte, variable string) string {
	b := append([]byte(signature), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(variable)))
	return string(b) + variable
}

const (
	local = 0x20
	proxy = 0x21

	tcp4 = "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\xc3\x50" + "\x22\xb6"
	tcp6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\xc3\x50" + "\x22\xb6"
)

var (
	in4 = Header{Client: netip.MustParseAddrPort("192.0.2.7:50000")}
	in6 = Header{Client: netip.MustParseAddrPort("[2001:db8::7]:50000")}
)

// good are headers, each as it is, and what it says.
var good = []struct {
	name, text string
	want       Header
}{
	{"version 1", "PROXY TCP4 192.0.2.7 198.51.100.1 50000 8886\r\n", in4},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 50000 8886\r\n", in6},
	{"version 1, the longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", Header{Client: netip.MustParseAddrPort("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")}},
	{"version 1, the shortest with an address", "PROXY TCP6 :: :: 0 0\r\n", Header{Client: netip.MustParseAddrPort("[::]:0")}},
	{"version 1, IPv4 in IPv6", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 50000 8886\r\n", in4},
	{"version 1, UNKNOWN", "PROXY UNKNOWN\r\n", Header{}},
	{"version 1, UNKNOWN and whatever", "PROXY UNKNOWN one two three\r\n", Header{}},
	{"version 1, UNKNOWN and the most of it", "PROXY UNKNOWN " + strings.Repeat("x", maxLine-len("PROXY UNKNOWN \r\n")) + "\r\n", Header{}},
	{"version 2", block(proxy, 0x11, tcp4), in4},
	{"version 2, IPv6", block(proxy, 0x21, tcp6), in6},
	{"version 2 with TLVs", block(proxy, 0x11, tcp4+"\x04\x00\x03abc"+"\xea\x00\x05\x01vpce"), in4},
	{"version 2 with what is no TLV", block(proxy, 0x11, tcp4+"\x04\xff\xff"), in4},
	{"version 2, the longest", block(proxy, 0x11, tcp4+strings.Repeat("x", maxVariable-len(tcp4))), in4},
	{"version 2, UNSPEC", block(proxy, 0x00, ""), Header{}},
	{"version 2, UNSPEC with TLVs", block(proxy, 0x00, "\x04\x00\x03abc"), Header{}},
	{"version 2, AF_UNIX", block(proxy, 0x31, strings.Repeat("/", 216)), Header{}},
	{"version 2, LOCAL", block(local, 0x00, ""), Header{Local: true}},
	{"version 2, LOCAL with an address", block(local, 0x11, tcp4), Header{Local: true}},
	{"version 2, LOCAL without the address of its family", block(local, 0x11, ""), Header{Local: true}},
	{"version 2, LOCAL with TLVs", block(local, 0x00, "\x03\x00\x04\x00\x00\x00\x00"), Header{Local: true}},
}

// cuts are ways for the same bytes to come.
var cuts = map[string]func(io.Reader) io.Reader{
	"whole":            func(r io.Reader) io.Reader { return r },
	"byte by byte":     iotest.OneByteReader,
	"in halves":        iotest.HalfReader,
	"with the end":     iotest.DataErrReader,
	"with empty reads": func(r io.Reader) io.Reader { return &hesitant{r: r} },
}

// hesitant reads nothing every other time.
type hesitant struct {
	r   io.Reader
	odd bool
}

func (h *hesitant) Read(b []byte) (int, error) {
	if h.odd = !h.odd; h.odd {
		return 0, nil
	}
	return h.r.Read(b)
}

// TestHeaders are read to their last byte and not beyond, also in two parts, cut
// anywhere, and whatever stands behind them.
func TestHeaders(t *testing.T) {
	behind := []string{"", "AUTH x\n", "\x16\x03\x01\x02\x00", "PROXY TCP4 192.0.2.9 192.0.2.9 1 1\r\n", block(local, 0, ""), "\n", "\r\n"}
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			for _, rest := range behind {
				for _, cut := range cuts {
					expect(t, cut(strings.NewReader(tt.text+rest)), tt.want, rest)
				}
				for i := range tt.text {
					expect(t, io.MultiReader(strings.NewReader(tt.text[:i]), strings.NewReader(tt.text[i:]+rest)), tt.want, rest)
				}
			}
		})
	}
}

func expect(t *testing.T, r io.Reader, want Header, rest string) {
	t.Helper()
	got, err := Read(r)
	left, _ := io.ReadAll(r)
	if err != nil || got != want || string(left) != rest {
		t.Fatalf("%+v, %v, and left %q; want %+v and %q", got, err, left, want, rest)
	}
}

// bad are no headers, and what is said of them.
var bad = []struct{ name, text, want string }{
	{"an AUTH line", "AUTH x\n", "no PROXY header"},
	{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "no PROXY header"},
	{"HTTP", "GET / HTTP/1.1\r\n", "no PROXY header"},
	{"another word with P", "PING\n", "no PROXY header"},
	{"lower case", "proxy TCP4 192.0.2.7 198.51.100.1 50000 8886\r\n", "no PROXY header"},
	{"empty line before", "\r\nPROXY TCP4 192.0.2.7 198.51.100.1 50000 8886\r\n", "no PROXY header"},
	{"half a signature", signature[:6] + "PROXY TCP4 192.0.2.7", "no PROXY header"},
	{"the word alone", "PROXY\r\n", "malformed PROXY header: can't read address family or protocol"},
	{"nothing behind the word", "PROXY \r\nAUTH x\n", "malformed PROXY header: can't read address family or protocol"},
	{"no space", "PROXYTCP4 192.0.2.7 198.51.100.1 50000 8886\r\n", "malformed PROXY header"},
	{"two spaces", "PROXY  TCP4 192.0.2.7 198.51.100.1 50000 8886\r\n", "malformed PROXY header: can't read address family or protocol"},
	{"another family", "PROXY UDP4 192.0.2.7 198.51.100.1 50000 8886\r\n", "malformed PROXY header: can't read address family or protocol"},
	{"LF alone", "PROXY TCP4 192.0.2.7 198.51.100.1 50000 8886\n", `malformed PROXY header: version 1 header is invalid, must end with \r\n`},
	{"a field too few", "PROXY TCP4 192.0.2.7 198.51.100.1 50000\r\n", "malformed PROXY header: can't read address family or protocol"},
	{"a field too many", "PROXY TCP4 192.0.2.7 198.51.100.1 50000 8886 1\r\n", "malformed PROXY header: can't read address family or protocol"},
	{"a space at the end", "PROXY TCP4 192.0.2.7 198.51.100.1 50000 8886 \r\n", "malformed PROXY header: can't read address family or protocol"},
	{"a name for an address", "PROXY TCP4 localhost 198.51.100.1 50000 8886\r\n", "malformed PROXY header: invalid address"},
	{"an address cut short", "PROXY TCP4 192.0.2 198.51.100.1 50000 8886\r\n", "malformed PROXY header: invalid address"},
	{"an address with zeros", "PROXY TCP4 192.000.002.007 198.51.100.1 50000 8886\r\n", "malformed PROXY header: invalid address"},
	{"an address with a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::1 50000 8886\r\n", "malformed PROXY header: invalid address"},
	{"the other family's address", "PROXY TCP4 2001:db8::7 2001:db8::1 50000 8886\r\n", "malformed PROXY header: invalid address"},
	{"a port too large", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 8886\r\n", "malformed PROXY header: invalid port number"},
	{"a negative port", "PROXY TCP4 192.0.2.7 198.51.100.1 -1 8886\r\n", "malformed PROXY header: invalid port number"},
	{"a port with a zero", "PROXY TCP4 192.0.2.7 198.51.100.1 050 8886\r\n", "malformed PROXY header: invalid port number"},
	{"a byte too long", "PROXY UNKNOWN " + strings.Repeat("x", maxLine-len("PROXY UNKNOWN \r\n")+1) + "\r\n", "PROXY header is too long"},
	{"a line without end", "PROXY TCP4 " + strings.Repeat("1", 1000), "PROXY header is too long"},
	{"version 1 of the binary", block(0x11, 0x11, tcp4), "malformed PROXY header: unsupported proxy protocol version and command"},
	{"an unknown command", block(0x22, 0x11, tcp4), "malformed PROXY header: unsupported proxy protocol version and command"},
	{"an unknown family", block(proxy, 0x41, tcp4), "malformed PROXY header: unsupported address family and protocol"},
	{"an unknown transport", block(proxy, 0x13, tcp4), "malformed PROXY header: unsupported address family and protocol"},
	{"a transport without a family", block(proxy, 0x01, tcp4), "malformed PROXY header: unsupported address family and protocol"},
	{"datagrams", block(proxy, 0x12, tcp4), "PROXY header is of a connection that is not TCP"},
	{"datagrams, IPv6", block(proxy, 0x22, tcp6), "PROXY header is of a connection that is not TCP"},
	{"Unix datagrams", block(proxy, 0x32, strings.Repeat("/", 216)), "PROXY header is of a connection that is not TCP"},
	{"less than an address", block(proxy, 0x11, tcp4[1:]), "malformed PROXY header: invalid length"},
	{"less than an IPv6 address", block(proxy, 0x21, tcp6[1:]), "malformed PROXY header: invalid length"},
	{"an IPv4 address for IPv6", block(proxy, 0x21, tcp4), "malformed PROXY header: invalid length"},
	{"no address", block(proxy, 0x11, ""), "malformed PROXY header: invalid length"},
	{"a byte over 4 KiB", block(proxy, 0x11, tcp4+strings.Repeat("x", maxVariable-len(tcp4)+1)), "PROXY header is too long"},
	{"64 KiB", block(proxy, 0x11, tcp4+strings.Repeat("x", 1<<16-1-len(tcp4))), "PROXY header is too long"},
	{"64 KiB of LOCAL", block(local, 0x00, strings.Repeat("x", 1<<16-1)), "PROXY header is too long"},
}

// TestBadHeaders are refused in the same words however they come, and what is no
// header at all is not waited for.
func TestBadHeaders(t *testing.T) {
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			for name, cut := range cuts {
				// What would be waited for ends in a failure of another kind.
				_, err := Read(cut(io.MultiReader(strings.NewReader(tt.text), iotest.ErrReader(errors.New("waited")))))
				if err == nil || err.Error() != tt.want {
					t.Errorf("%s: %v, want %s", name, err, tt.want)
				}
			}
		})
	}
}

// TestTruncatedHeaders: a header that ends early, is reset, or does not come in
// time is told from a connection on which nothing came at all.
func TestTruncatedHeaders(t *testing.T) {
	late := &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for _, tt := range good {
		for i := range tt.text {
			_, ended := Read(strings.NewReader(tt.text[:i]))
			_, slow := Read(io.MultiReader(strings.NewReader(tt.text[:i]), iotest.ErrReader(late)))
			if slow == nil || slow.Error() != "PROXY header was not complete in time" {
				t.Fatalf("%s: %d bytes in time: %v", tt.name, i, slow)
			}
			if i == 0 && ended != io.EOF {
				t.Fatalf("nothing: %v", ended)
			}
			if i > 0 && (ended == nil || errors.Is(ended, io.EOF) || ended.Error() != "PROXY header is not complete: EOF") {
				t.Fatalf("%s: %d bytes: %v", tt.name, i, ended)
			}
		}
	}
}

// TestErrorsRepeatNothing: what somebody put into a header by mistake, or a client
// whose balancer adds none, may be a token.
func TestErrorsRepeatNothing(t *testing.T) {
	const secret = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9"
	for _, text := range []string{
		"AUTH " + secret + "\n", "PROXY " + secret + "\r\n", "PROXY TCP4 " + secret + " " + secret + " 1 1\r\n",
		"PROXY TCP4 192.0.2.7 192.0.2.8 " + secret + " 1\r\n", "PROXY TCP4 192.0.2.7 " + secret,
		secret, "PROXY" + secret + "\r\n", block(proxy, 0x11, secret[:11]), signature + secret,
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || strings.Contains(err.Error(), secret[:4]) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzProxyHeader: whatever comes, and however it is cut, the answer is the same;
// what is taken for a header is exactly what the library takes for one, and not a
// byte more is read, nor ever more than the longest header has.
func FuzzProxyHeader(f *testing.F) {
	for _, tt := range good {
		f.Add([]byte(tt.text))
		f.Add([]byte(tt.text + "AUTH x\n"))
	}
	for _, tt := range bad {
		if len(tt.text) < 1000 {
			f.Add([]byte(tt.text))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := bytes.NewReader(b)
		h, err := Read(whole)
		if read := len(b) - whole.Len(); read > fixedSize+maxVariable {
			t.Fatalf("read %d bytes", read)
		}
		pieces := bytes.NewReader(b)
		if again, err2 := Read(iotest.OneByteReader(pieces)); again != h || (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %+v, %v; byte by byte: %+v, %v", h, err, again, err2)
		}
		if err == nil && pieces.Len() != whole.Len() {
			t.Fatalf("whole leaves %d bytes, byte by byte %d", whole.Len(), pieces.Len())
		}
		theirs, rest, failure := library(b)
		unspecified := err == nil && h == Header{} && b[0] == '\r' // accepted here alone
		switch {
		case err != nil && failure == nil && theirs.TransportProtocol.IsDatagram() && !theirs.Command.IsLocal():
		case (err == nil) != (failure == nil) && !unspecified:
			t.Fatalf("%+v, %v; the library: %+v, %v", h, err, theirs, failure)
		case err != nil || unspecified:
		case rest != whole.Len():
			t.Fatalf("leaves %d bytes, the library %d", whole.Len(), rest)
		case h.Local != (theirs.Version == 2 && theirs.Command.IsLocal()):
			t.Fatalf("%+v; the library: %+v", h, theirs)
		case h.Client.IsValid():
			if addr, ok := theirs.SourceAddr.(*net.TCPAddr); !ok || addr.String() != net.TCPAddrFromAddrPort(h.Client).String() {
				t.Fatalf("client %s; the library: %s", h.Client, theirs.SourceAddr)
			}
		}
	})
}

// library is what the library makes of b by itself, and how much it leaves.
func library(b []byte) (*proxyproto.Header, int, error) {
	r := bytes.NewReader(b)
	buffered := bufio.NewReader(r)
	h, err := proxyproto.Read(buffered)
	return h, r.Len() + buffered.Buffered(), err
}

// BenchmarkRead is what a header costs, its reads from a socket and the sender's one
// write included.
func BenchmarkRead(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	sender, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer sender.Close()
	nc, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	for _, tt := range good {
		if tt.name != "version 1" && tt.name != "version 2" {
			continue
		}
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(sender, tt.text); err != nil {
					b.Fatal(err)
				}
				if _, err := Read(nc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
