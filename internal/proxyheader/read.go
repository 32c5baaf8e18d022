// Package proxyheader reads the header of the PROXY protocol, version 1 or 2, with
// which a balancer says for whom it opened a connection
// (https://www.haproxy.org/download/3.4/doc/proxy-protocol.txt). Not a byte behind
// the header is read, so that whoever comes next has the socket as it was.
package proxyheader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/pires/go-proxyproto"
)

// Header is what a balancer says of a connection.
type Header struct {
	// Client is who connected to the balancer. It is the zero value where that
	// has no address: version 1's UNKNOWN, version 2's UNSPEC and AF_UNIX.
	Client netip.AddrPort
	// Local says that the balancer speaks for itself (version 2's LOCAL), as it
	// does to see whether it is answered.
	Local bool
}

const (
	maxLine   = 107 // version 1, CRLF included
	shortest  = len("PROXY UNKNOWN\r\n")
	fixedSize = 16 // version 2, before the part whose length it gives
	// maxVariable bounds that part: addresses, and what is said besides (TLVs),
	// which is skipped. The protocol allows 64 KiB.
	maxVariable = 4096
)

var newline = []byte("\n")

var (
	errNone    = errors.New("no PROXY header")
	errTooLong = errors.New("PROXY header is too long")
	errNotTCP  = errors.New("PROXY header is of a connection that is not TCP")
)

// Read reads a header from r. Where nothing at all came, the error is that of r;
// else it says what is wrong, and repeats nothing of what was read.
func Read(r io.Reader) (Header, error) {
	b, err := read(r)
	switch {
	case err == nil:
		return parse(b)
	case len(b) == 0 && !errors.Is(err, os.ErrDeadlineExceeded):
		return Header{}, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Header{}, errors.New("PROXY header was not complete in time")
	case errors.Is(err, errNone), errors.Is(err, errTooLong):
		return Header{}, err
	}
	// Not wrapped: an end in the middle is no end without a word.
	return Header{}, fmt.Errorf("PROXY header is not complete: %v", err)
}

// read reads what must be a header if r begins with one, and not a byte more.
func read(r io.Reader) (b []byte, err error) {
	b = make([]byte, 0, maxLine)
	for len(b) < shortest { // what is no header is not waited for
		if b, err = readUpTo(r, b, shortest); err != nil {
			return b, err
		}
		if !begins(b, proxyproto.SIGV1) && !begins(b, proxyproto.SIGV2) {
			return b, errNone
		}
		if b[0] == proxyproto.SIGV1[0] && bytes.Contains(b, newline) {
			break // too short a line to be one
		}
	}
	if begins(b, proxyproto.SIGV1) {
		return readLine(r, b)
	}
	return readBlock(r, b)
}

// readLine reads on to the end of a version 1 header. Where that is nobody knows
// before it has come, so no more is read at once than CR and LF.
func readLine(r io.Reader, b []byte) ([]byte, error) {
	for !bytes.Contains(b, newline) {
		if len(b) == maxLine {
			return b, errTooLong
		}
		next := min(len(b)+2, maxLine)
		if b[len(b)-1] == '\r' {
			next = len(b) + 1
		}
		var err error
		if b, err = readUpTo(r, b, next); err != nil {
			return b, err
		}
	}
	return b, nil
}

// readBlock reads on to the end of a version 2 header.
func readBlock(r io.Reader, b []byte) ([]byte, error) {
	b, err := readFull(r, b, fixedSize)
	if err != nil {
		return b, err
	}
	variable := int(binary.BigEndian.Uint16(b[fixedSize-2:]))
	if variable > maxVariable {
		return b, errTooLong
	}
	return readFull(r, b, fixedSize+variable)
}

func readFull(r io.Reader, b []byte, size int) (_ []byte, err error) {
	for len(b) < size && err == nil {
		b, err = readUpTo(r, b, size)
	}
	return b, err
}

// readUpTo reads something, and no more than makes b so long.
func readUpTo(r io.Reader, b []byte, size int) ([]byte, error) {
	if size > cap(b) {
		b = append(make([]byte, 0, size), b...)
	}
	for {
		n, err := r.Read(b[len(b):size])
		if n > 0 {
			return b[:len(b)+n], nil // an error comes again
		}
		if err != nil {
			return b, err
		}
	}
}

// begins reports whether b begins with signature, as far as either goes.
func begins(b, signature []byte) bool {
	n := min(len(b), len(signature))
	return bytes.Equal(b[:n], signature[:n])
}

// parse reads a whole header.
func parse(b []byte) (Header, error) {
	if bytes.HasPrefix(b, proxyproto.SIGV2) &&
		b[12] == byte(proxyproto.PROXY) && b[13] == byte(proxyproto.UNSPEC) {
		return Header{}, nil // the receiver may accept it (2.2), and the library does not
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b)))
	if err != nil {
		return Header{}, fault(err)
	}
	switch {
	case h.Version == 2 && h.Command.IsLocal():
		return Header{Local: true}, nil
	case h.TransportProtocol.IsUnspec():
		return Header{}, nil
	case !h.TransportProtocol.IsStream():
		return Header{}, errNotTCP
	case h.TransportProtocol.IsUnix():
		return Header{}, nil
	}
	client, _, ok := h.TCPAddrs()
	if !ok {
		return Header{}, errNotTCP
	}
	addr := client.AddrPort()
	return Header{Client: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}, nil
}

// fault says what is wrong with a header in words of the library's own: its errors
// also repeat what they are about, which may be anything.
func fault(err error) error {
	for _, known := range []error{
		proxyproto.ErrLineMustEndWithCrlf,
		proxyproto.ErrInvalidAddress,
		proxyproto.ErrInvalidPortNumber,
		proxyproto.ErrInvalidLength,
		proxyproto.ErrUnsupportedProtocolVersionAndCommand,
		proxyproto.ErrUnsupportedAddressFamilyAndProtocol,
		proxyproto.ErrCantReadAddressFamilyAndProtocol,
	} {
		if errors.Is(err, known) {
			return fmt.Errorf("malformed PROXY header: %s", strings.TrimPrefix(known.Error(), "proxyproto: "))
		}
	}
	return errors.New("malformed PROXY header")
}
