package trials

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// member is a client of a crowd: it is in a session and sends lines for as long as
// anybody takes them. Line i is i with zeros before it.
type member struct {
	*net.TCPConn
	in    *bufio.Reader
	since time.Time    // before it was let in
	width int          // of a line
	lines atomic.Int64 // sent
	taken atomic.Int64 // answers, in order
}

// join lets a member in. It is as far away as a device is: its packets are those of
// an Ethernet, and its buffers small. With those of the loopback the kernel alone
// would hold some megabytes for each.
func (d *door) join(token string, width int) (*member, error) {
	dialer, since := d.dialer(), time.Now()
	dialer.Control = func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1460)
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 8<<10)
		})
	}
	c, err := dialer.Dial("tcp", d.address)
	if err != nil {
		return nil, err
	}
	m := &member{TCPConn: c.(*net.TCPConn), since: since, width: width}
	m.in = bufio.NewReaderSize(c, 256)
	_ = m.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "AUTH "+token+"\n"); err != nil {
		return nil, err
	}
	if line, err := m.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK AUTH ") {
		return nil, fmt.Errorf("a login got %q, %w", line, err)
	}
	return m, m.SetDeadline(time.Time{})
}

// crowd lets n members in.
func (d *door) crowd(n, width int, token string) ([]*member, error) {
	const atOnce = 50
	members := make([]*member, n)
	var failed [atOnce]error
	var all sync.WaitGroup
	for part := range atOnce {
		all.Go(func() {
			for i := part; i < n && failed[part] == nil; i += atOnce {
				members[i], failed[part] = d.join(token, width)
			}
		})
	}
	all.Wait()
	return members, errors.Join(failed[:]...)
}

// send sends until its connection ends.
func (m *member) send() {
	out := bufio.NewWriterSize(m, 4<<10)
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(out, "%0*d\n", m.width, i); err != nil {
			return
		}
		m.lines.Store(int64(i))
	}
}

// sent is how many lines the members got rid of.
func sent(members []*member) (n int64) {
	for _, m := range members {
		n += m.lines.Load()
	}
	return n
}

// answered is how many answers they have read.
func answered(members []*member) (n int64) {
	for _, m := range members {
		n += m.taken.Load()
	}
	return n
}

// read reads at most n bytes at regular times until over, the first time after a
// while, and holds the answers to what was sent.
func (m *member) read(over <-chan struct{}, after, every time.Duration, n int) error {
	timer := time.NewTimer(after)
	defer timer.Stop()
	part := make([]byte, n)
	var came []byte
	for {
		select {
		case <-over:
			return nil
		case <-timer.C:
			timer.Reset(every)
		}
		n, err := m.in.Read(part)
		if err == nil {
			came, err = m.check(append(came, part[:n]...))
		}
		if err != nil {
			select {
			case <-over:
				return nil
			default:
			}
			return fmt.Errorf("a client of the crowd, after %d answers: %w", m.taken.Load(), err)
		}
	}
}

// check returns what is left of came without the answers in it.
func (m *member) check(came []byte) ([]byte, error) {
	for {
		line, rest, whole := bytes.Cut(came, []byte("\n"))
		if !whole {
			return came, nil
		}
		if want := fmt.Sprintf("from server: %0*d", m.width, m.taken.Load()); string(line) != want {
			return nil, fmt.Errorf("got %.40q, want %.40q", line, want)
		}
		m.taken.Add(1)
		came = rest
	}
}
