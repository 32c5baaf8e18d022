package session

import (
	"fmt"
	"sync"
	"testing"

	"github.com/linegate/linegate/auth"
)

// BenchmarkRegistry is what is done with the registry while 100,000 sessions are
// in it. Those of "beside" are from all processors while others do that besides.
func BenchmarkRegistry(b *testing.B) {
	srv := crowdedServer(b)
	all := srv.Sessions()
	comeAndGo := func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			s := &Session{srv: srv, sessionID: srv.newID()}
			s.machine.identity.Store(all[0].Identity())
			for pb.Next() {
				srv.sessions.add(s)
				srv.sessions.remove(s)
			}
		})
	}
	b.Run("add and remove", func(b *testing.B) {
		b.ReportAllocs()
		comeAndGo(b)
	})
	b.Run("add and remove beside reviews", func(b *testing.B) {
		stop := repeat(func() { srv.Review() })
		defer stop()
		b.ReportAllocs()
		comeAndGo(b)
	})
	b.Run("add and remove beside lists", func(b *testing.B) {
		stop := repeat(func() { srv.Sessions() })
		defer stop()
		b.ReportAllocs()
		comeAndGo(b)
	})
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if s := all[i%len(all)]; srv.Session(s.ID()) != s {
					b.Error("not found")
					return
				}
			}
		})
	})
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n := len(srv.Sessions()); n != len(all) {
				b.Fatal(n)
			}
		}
	})
	b.Run("review", func(b *testing.B) { // of sessions that all stand
		b.ReportAllocs()
		for b.Loop() {
			if n := srv.Review(); n != 0 {
				b.Fatal(n)
			}
		}
	})
}

// crowdedServer has 100,000 sessions without connections.
func crowdedServer(b *testing.B) *Server {
	srv := newServer(b, Config{Authenticator: new(trusted)})
	for i := range 100_000 {
		s := &Session{srv: srv, sessionID: srv.newID()}
		s.machine.identity.Store(&auth.Identity{Grant: &auth.Grant{Thumbprint: "k1"}, Subject: fmt.Sprint(i)})
		srv.sessions.add(s)
	}
	return srv
}

// repeat does f again and again, until it is told to stop.
func repeat(f func()) (stop func()) {
	stopped := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stopped:
				return
			default:
				f()
			}
		}
	})
	return func() {
		close(stopped)
		done.Wait()
	}
}
