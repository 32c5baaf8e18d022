package systemd

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// childVariable makes this test's process a service that was handed sockets: it
// asks for the names that the variable has and tells what it got.
const childVariable = "TEST_IS_SERVICE"

func TestMain(m *testing.M) {
	if names := os.Getenv(childVariable); names != "" {
		os.Exit(serviceMain(strings.Fields(names)))
	}
	os.Exit(m.Run())
}

// told is what the child says.
type told struct {
	Addresses []string
	Errors    []string
	Unused    []string
	Left      []string // of the environment
}

func serviceMain(names []string) int {
	var t told
	m, err := Take()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, name := range names {
		listeners, err := m.Listeners(name)
		if err != nil {
			t.Errors = append(t.Errors, err.Error())
		}
		for _, l := range listeners {
			t.Addresses = append(t.Addresses, l.Addr().String())
			l.Close()
		}
	}
	t.Unused = m.Unused()
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") || strings.HasPrefix(v, "NOTIFY_") || strings.HasPrefix(v, "WATCHDOG_") {
			t.Left = append(t.Left, v)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(t); err != nil {
		return 1
	}
	return 0
}

// TestListeners: sockets are found by their name, also several of one name; what
// is no listening TCP socket, or not there, is refused in one line.
func TestListeners(t *testing.T) {
	first, second, other := listen(t), listen(t), listen(t)
	connected, err := net.Dial("tcp", other.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	files := []*os.File{
		fileOf(t, first), fileOf(t, second), fileOf(t, other),
		fileOf(t, connected.(*net.TCPConn)), fileOf(t, unix.(*net.UnixListener)),
	}
	const names = "devices:devices:ops:call:path"
	for _, test := range []struct {
		asked string
		names string
		pid   string
		want  told
	}{
		{"devices", names, "$$", told{Addresses: []string{first.Addr().String(), second.Addr().String()}, Unused: []string{"call", "ops", "path"}}},
		{"ops devices", names, "$$", told{Addresses: []string{other.Addr().String(), first.Addr().String(), second.Addr().String()}, Unused: []string{"call", "path"}}},
		{"admin", names, "$$", told{Errors: []string{`no socket named "admin": handed over were call, devices, ops, path`}, Unused: []string{"call", "devices", "ops", "path"}}},
		{"call path", names, "$$", told{
			Errors: []string{`socket "call", descriptor 6: not a listening TCP socket`, `socket "path", descriptor 7: not a listening TCP socket`},
			Unused: []string{"call", "devices", "ops", "path"},
		}},
		{"devices devices", names, "$$", told{
			Addresses: []string{first.Addr().String(), second.Addr().String()},
			Errors:    []string{`no socket named "devices": handed over were call, ops, path`}, Unused: []string{"call", "ops", "path"},
		}},
		{"unknown", "devices:devices", "$$", told{
			Addresses: []string{other.Addr().String()},
			Errors:    nil, Unused: []string{"devices"},
		}},
		{"devices", names, "1", told{Errors: []string{`no socket named "devices": none was handed over`}}},
	} {
		t.Run(test.asked+" of "+test.names+" for "+test.pid, func(t *testing.T) {
			handed := files
			if test.names != names {
				handed = files[:3]
			}
			got := service(t, test.asked, test.pid, test.names, handed)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("\ngot  %+v\nwant %+v", got, test.want)
			}
		})
	}
	// Whoever handed them over has them still.
	for _, l := range []*net.TCPListener{first, second, other} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// service runs the child as systemd would.
func service(t *testing.T, asked, pid, names string, files []*os.File) (got told) {
	t.Helper()
	child := exec.Command("sh", "-c", "LISTEN_PID="+pid+` exec "$0"`, os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+asked, "LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_FDNAMES="+names,
		"NOTIFY_SOCKET=@none", "WATCHDOG_USEC=1000000", "WATCHDOG_PID=1")
	child.ExtraFiles = files
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err, string(out))
	}
	return got
}

// TestTake: what makes no sense is refused in one line, and what is for another
// process is left alone.
func TestTake(t *testing.T) {
	us := strconv.Itoa(os.Getpid())
	for _, test := range []struct {
		name string
		env  map[string]string
		want *Manager
		err  string
	}{
		{"nothing", nil, &Manager{}, ""},
		{"to be told", map[string]string{"NOTIFY_SOCKET": "/run/systemd/notify"}, &Manager{address: "/run/systemd/notify"}, ""},
		{"watchdog", map[string]string{"WATCHDOG_USEC": "30000000"}, &Manager{watchdog: 30 * time.Second}, ""},
		{"our watchdog", map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": us}, &Manager{watchdog: 30 * time.Second}, ""},
		{"another's watchdog", map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, &Manager{}, ""},
		{"another's sockets", map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "1"}, &Manager{}, ""},
		{"nobody's sockets", map[string]string{"LISTEN_FDS": "1"}, &Manager{}, ""},
		{"no number", map[string]string{"LISTEN_FDS": "one", "LISTEN_PID": us}, nil, `LISTEN_FDS: want a number of sockets, got "one"`},
		{"too many", map[string]string{"LISTEN_FDS": "65537", "LISTEN_PID": us}, nil, `LISTEN_FDS: want a number of sockets, got "65537"`},
		{"no time", map[string]string{"WATCHDOG_USEC": "-1"}, nil, `WATCHDOG_USEC: want microseconds, got "-1"`},
		{"no path", map[string]string{"NOTIFY_SOCKET": "vsock:2:1"}, nil, `NOTIFY_SOCKET: want a path, or @ and a name, got "vsock:2:1"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} {
				t.Setenv(name, test.env[name])
			}
			got, err := Take()
			if said := fmt.Sprint(err); test.err != "" && said != test.err || test.err == "" && err != nil {
				t.Errorf("error %q, want %q", said, test.err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			for name := range test.env {
				if _, there := os.LookupEnv(name); there {
					t.Errorf("%s is still there", name)
				}
			}
		})
	}
}

// TestTellAgain: one descriptor serves for all that is told, and another when the
// manager has begun anew.
func TestTellAgain(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", address)
	m, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	var conns []*net.UnixConn
	for range 2 {
		_ = os.Remove(address)
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := m.Tell(Alive); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 512)
			if n, err := socket.Read(buf); err != nil || string(buf[:n]) != Alive {
				t.Errorf("got %q, %v", buf[:n], err)
			}
			conns = append(conns, m.conn)
		}
		socket.Close()
	}
	if conns[0] != conns[2] || conns[3] != conns[5] {
		t.Error("a descriptor for each message")
	}
}

// TestTell: the manager gets one datagram, at a path and at an abstract address.
func TestTell(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@linegate-test-%d", os.Getpid())} {
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		t.Setenv("NOTIFY_SOCKET", address)
		m, err := Take()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Tell(Ready, Status("serving\n12 sessions")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 512)
		n, err := socket.Read(buf)
		if got, want := string(buf[:n]), "READY=1\nSTATUS=serving 12 sessions"; err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", address, got, err, want)
		}
	}
	var none *Manager
	if err := none.Tell(Ready); err != nil || none.Wanted() || none.Watchdog() != 0 || none.Unused() != nil {
		t.Errorf("no manager: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	m, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Tell(Ready); err == nil {
		t.Error("nobody listens, and no error")
	}
}

// TestReloading has the clock that the manager compares with its own.
func TestReloading(t *testing.T) {
	stamp := func() int64 {
		text, ok := strings.CutPrefix(Reloading(), "RELOADING=1\nMONOTONIC_USEC=")
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			t.Fatal(Reloading(), err)
		}
		return n
	}
	before := stamp()
	began := time.Now()
	for time.Since(began) < 2*time.Millisecond {
	}
	if took := stamp() - before; took < 2000 || took > 20e6 {
		t.Errorf("2 ms are %d µs", took)
	}
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func fileOf(t *testing.T, s interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	file, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}
