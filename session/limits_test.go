package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// held is how many sessions of a subject the registry has, by either of its
// books.
func (r *registry) held(t *testing.T, whose subject) int {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, s := range r.byID {
		if s.subject() == whose {
			n++
		}
	}
	if r.bySubject != nil && len(r.bySubject[whose]) != n {
		t.Errorf("%d sessions by their ids, %d by their subject", n, len(r.bySubject[whose]))
	}
	return n
}

// TestSessionsPerSubjectAtOnce: however many log in at the same moment, a subject
// never has more sessions than it may, and never less than it could.
func TestSessionsPerSubjectAtOnce(t *testing.T) {
	const limit, all = 3, 60
	for _, test := range []struct {
		name    string
		replace bool
	}{{"reject", false}, {"replace", true}} {
		t.Run(test.name, func(t *testing.T) {
			srv := newServer(t, Config{Limits: Limits{SessionsPerSubject: limit, ReplaceOldest: test.replace}})
			whose := subject{"issuer", "alice"}
			watched := repeat(func() {
				if n := srv.sessions.held(t, whose); n > limit {
					t.Errorf("%d sessions", n)
				}
			})
			start := make(chan struct{})
			var let, refused, replaced, kept sync.Map
			var answered, ended sync.WaitGroup
			count := func(m *sync.Map, i int) { m.Store(i, true) }
			leave := make(chan struct{})
			for i := range all {
				client, server := tcpPair(t)
				defer client.Close()
				_ = client.SetDeadline(time.Now().Add(20 * time.Second))
				s := srv.New(server, nil)
				answered.Add(1)
				ended.Go(func() {
					if end := s.Serve(); end == wire.ClientClosed {
						count(&kept, i)
					}
				})
				go func() {
					defer answered.Done()
					<-start
					_, _ = io.WriteString(client, "AUTH alice\n")
					in := bufio.NewReader(client)
					line, _ := in.ReadString('\n')
					switch {
					case strings.HasPrefix(line, "OK AUTH "):
						count(&let, i)
						ended.Go(func() {
							if line, _ := in.ReadString('\n'); strings.HasPrefix(line, "BYE replaced action=none ") {
								count(&replaced, i)
							}
							client.Close()
						})
						go func() { <-leave; steady.EndStream(client) }()
					case strings.HasPrefix(line, "BYE too_many_sessions action=retry retry_after="):
						count(&refused, i)
						client.Close()
					default:
						t.Errorf("answer %q", line)
					}
				}()
			}
			close(start)
			answered.Wait()
			if n := srv.sessions.held(t, whose); n != limit {
				t.Errorf("%d sessions are left, want %d", n, limit)
			}
			watched()
			close(leave)
			ended.Wait()
			wantLet, wantReplaced := limit, 0
			if test.replace {
				wantLet, wantReplaced = all, all-limit
			}
			for _, c := range []struct {
				what string
				of   *sync.Map
				want int
			}{{"let in", &let, wantLet}, {"refused", &refused, all - wantLet}, {"replaced", &replaced, wantReplaced}, {"kept", &kept, limit}} {
				n := 0
				c.of.Range(func(any, any) bool { n++; return true })
				if n != c.want {
					t.Errorf("%d %s, want %d", n, c.what, c.want)
				}
			}
			if len(srv.sessions.bySubject) > 0 || srv.sessions.len() > 0 {
				t.Error("the registry remembers whom has left")
			}
		})
	}
}

// panicsIfTold is a backend that panics when told so.
type panicsIfTold struct{ Echo }

func (p panicsIfTold) Message(s *Session, text []byte, r *Reply) error {
	if string(text) == "panic" {
		panic("told so")
	}
	return p.Echo.Message(s, text, r)
}

// TestEveryEndFreesThePlace: however a session ends, its subject can open another
// at once; where there is a BYE, as soon as that was read.
func TestEveryEndFreesThePlace(t *testing.T) {
	bye := func(in *bufio.Reader, code wire.Code) error {
		line, err := in.ReadString('\n')
		if !strings.HasPrefix(line, "BYE "+code.String()+" ") {
			return fmt.Errorf("got %q, %v; want BYE %s", line, err, code)
		}
		return nil
	}
	for name, end := range map[string]func(client net.Conn, s *Session, in *bufio.Reader) (wire.Code, error){
		"client closes": func(c net.Conn, _ *Session, _ *bufio.Reader) (wire.Code, error) { return wire.ClientClosed, c.Close() },
		"panic": func(c net.Conn, _ *Session, _ *bufio.Reader) (wire.Code, error) {
			_, err := io.WriteString(c, "panic\n")
			return wire.Panic, err
		},
		"forced": func(_ net.Conn, s *Session, _ *bufio.Reader) (wire.Code, error) {
			s.End(wire.Forced, 0)
			return wire.Forced, nil
		},
		"kicked": func(_ net.Conn, s *Session, in *bufio.Reader) (wire.Code, error) {
			s.End(wire.TokenRevoked, 0)
			return 0, bye(in, wire.TokenRevoked)
		},
		"drained": func(_ net.Conn, s *Session, in *bufio.Reader) (wire.Code, error) {
			s.End(wire.Draining, 0)
			return 0, bye(in, wire.Draining)
		},
		"idle": func(_ net.Conn, _ *Session, in *bufio.Reader) (wire.Code, error) { return 0, bye(in, wire.IdleTimeout) },
		"line too long": func(c net.Conn, _ *Session, in *bufio.Reader) (wire.Code, error) {
			go io.WriteString(c, strings.Repeat("x", 9000))
			return 0, bye(in, wire.LineTooLong)
		},
		"write fails": func(c net.Conn, s *Session, _ *bufio.Reader) (wire.Code, error) {
			err := c.Close()
			_ = s.Push([]byte("nobody reads this"))
			return wire.ClientClosed, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t, Config{Backend: panicsIfTold{}, Limits: Limits{SessionsPerSubject: 1}})
				open := func() (client net.Conn, s *Session, in *bufio.Reader, ended chan wire.Code) {
					client, server := net.Pipe()
					s, ended, in = srv.New(steady.New(server, time.Hour), nil), make(chan wire.Code, 1), bufio.NewReader(client)
					go func() {
						defer func() {
							if recover() != nil {
								ended <- wire.Panic
							}
						}()
						ended <- s.Serve()
					}()
					_, _ = io.WriteString(client, "AUTH alice\n")
					expect(t, in, "OK AUTH ")
					return client, s, in, ended
				}
				first, s, in, ended := open()
				waitFor, err := end(first, s, in)
				if err != nil {
					t.Fatal(err)
				}
				if waitFor != 0 {
					<-ended // for whatever reason: there is nobody to tell
				}
				second, _, _, _ := open()
				first.Close()
				second.Close()
				synctest.Wait()
			})
		})
	}
}

// TestLimitsChange: a limit that is set, or changed, while there are sessions ends
// none of them, counts all of them, and is that of whoever comes later.
func TestLimitsChange(t *testing.T) {
	srv := newServer(t, Config{})
	whose := subject{"issuer", "alice"}
	open := func(want string) (*bufio.Reader, net.Conn) {
		t.Helper()
		client, server := tcpPair(t)
		t.Cleanup(func() { client.Close() })
		_ = client.SetDeadline(time.Now().Add(20 * time.Second))
		go srv.New(server, nil).Serve()
		_, _ = io.WriteString(client, "AUTH alice\n")
		in := bufio.NewReader(client)
		expect(t, in, want)
		return in, client
	}
	var all []*bufio.Reader
	for range 4 {
		in, _ := open("OK AUTH ")
		all = append(all, in)
	}
	srv.SetLimits(Limits{SessionsPerSubject: 3})
	open("BYE too_many_sessions ")
	if n := srv.sessions.held(t, whose); n != 4 {
		t.Errorf("%d sessions after the limit came, want 4", n)
	}
	srv.SetLimits(Limits{SessionsPerSubject: 2, ReplaceOldest: true})
	fifth, nc := open("OK AUTH ")
	for i, in := range all[:3] { // so that with it there are two
		line, err := in.ReadString('\n')
		if !strings.HasPrefix(line, "BYE replaced ") {
			t.Errorf("session %d: %q, %v", i, line, err)
		}
	}
	if n := srv.sessions.held(t, whose); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
	srv.SetLimits(Limits{})
	open("OK AUTH ")
	if n := srv.sessions.held(t, whose); n != 3 {
		t.Errorf("%d sessions without a limit, want 3", n)
	}
	_, _ = io.WriteString(nc, "ping\n")
	expect(t, fifth, "pong")
}

// TestEndedBeforeItOpened: who was told to end while its AUTH was checked takes
// nobody's place.
func TestEndedBeforeItOpened(t *testing.T) {
	cast := castAuth{castTrust: new(castTrust), now: time.Now, asked: make(chan struct{}, 1), judge: make(chan struct{})}
	srv := newServer(t, Config{Authenticator: cast, Limits: Limits{SessionsPerSubject: 1, ReplaceOldest: true}})
	client, server := tcpPair(t)
	defer client.Close()
	_, in, _ := connectAs(t, srv, client, server, "alice.300")
	late, far := tcpPair(t)
	defer late.Close()
	s := srv.New(far, nil)
	_, _ = io.WriteString(late, "AUTH slow-alice.300\n")
	go s.Serve()
	<-cast.asked
	s.mu.Lock() // the order and the verdict come together
	s.orders.end, s.orders.any = wire.Draining, true
	cast.judge <- struct{}{}
	s.mu.Unlock()
	expect(t, bufio.NewReader(late), "BYE draining ")
	_, _ = io.WriteString(client, "ping\n")
	expect(t, in, "pong")
}

// BenchmarkPlaces is what a login and its end cost in the registry beside 100,000
// others, with a limit and without.
func BenchmarkPlaces(b *testing.B) {
	for _, limit := range []int{0, 1} {
		b.Run(fmt.Sprintf("limit %d", limit), func(b *testing.B) {
			srv := crowdedServer(b)
			srv.SetLimits(Limits{SessionsPerSubject: limit})
			s := &Session{srv: srv, sessionID: srv.newID()}
			s.machine.identity.Store(&auth.Identity{Grant: &auth.Grant{Issuer: "issuer"}, Subject: "one more"})
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := srv.sessions.add(s); !ok {
					b.Fatal("refused")
				}
				srv.sessions.remove(s)
			}
		})
	}
}
