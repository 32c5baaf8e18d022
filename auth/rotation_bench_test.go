package auth

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/mint"
)

// BenchmarkKeyLookup is what every login asks of the published keys, on all
// processors: by itself, and while the issuer rotates its keys, a thousand times
// a second. Nobody waits for the one who publishes.
func BenchmarkKeyLookup(b *testing.B) {
	for _, name := range []string{"still", "rotating"} {
		b.Run(name, func(b *testing.B) {
			remote, stays, publish := rotatingRemote(b)
			publish()
			if name == "rotating" {
				stop := everyMillisecond(publish)
				defer stop()
			}
			key, refusal := remote.Current().find(stays, "ES256")
			if refusal != nil {
				b.Fatal(refusal)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					keys := remote.Current()
					if found, _ := keys.find(stays, "ES256"); found == nil || !keys.Holds(key.thumbprint) {
						b.Error("a key that stays is missing")
						return
					}
				}
			})
		})
	}
}

// rotatingRemote has five keys, of which each publish replaces one. The first
// stays.
func rotatingRemote(b *testing.B) (r *Remote, stays string, publish func()) {
	b.Helper()
	r, err := NewRemote(RemoteConfig{Name: "main", Issuer: "https://issuer.test"})
	if err != nil {
		b.Fatal(err)
	}
	var keys []*mint.Key
	for _, id := range []string{"stays", "a", "b", "c", "d", "e"} {
		key, err := mint.NewKey("ES256", id)
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, key)
	}
	turn := 0
	publish = func() {
		others := keys[1:]
		left := turn % len(others)
		turn++
		set := append(append([]*mint.Key{keys[0]}, others[:left]...), others[left+1:]...)
		doc := mint.JWKS(set...)
		parsed, _, err := ParseKeySet(doc)
		if err != nil {
			b.Error(err)
			return
		}
		r.succeeded(&fetchedSet{keys: parsed, doc: doc, header: http.Header{}})
	}
	return r, "stays", publish
}

func everyMillisecond(f func()) (stop func()) {
	stopped := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stopped:
				return
			case <-tick.C:
				f()
			}
		}
	})
	return func() {
		close(stopped)
		done.Wait()
	}
}
