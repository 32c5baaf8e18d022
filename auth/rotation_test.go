package auth_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// A login with a known key does not notice that the issuer is away.
func TestRemoteKnownKeyNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		token := r.Token()
		r.Fail(authtest.Hang)
		time.Sleep(5*time.Minute + time.Second) // a refresh hangs now
		if r.Fetches() != 2 {
			t.Fatalf("%d fetches", r.Fetches())
		}
		go r.login(t, r.Token(authtest.SignedBy(r.NewKey()))) // and another login waits for it
		synctest.Wait()
		r.mustLogin(t, token, auth.OK, 0)
	})
}

// A careful issuer publishes first and signs later; a careless one does both at
// once. Neither makes a valid login fail, and tokens of the old key stay good
// while it is published.
func TestRemoteRotation(t *testing.T) {
	for name, rotate := range map[string]func(r remote){
		"publish, sign later": func(r remote) {
			key := r.Publish()
			time.Sleep(5 * time.Minute)
			r.Sign(key)
		},
		"publish and sign at once": func(r remote) { r.Rotate() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, nil)
				var inFlight []string
				for range 20 {
					for range 5 {
						inFlight = append(inFlight, r.Token())
						time.Sleep(time.Second)
					}
					rotate(r)
					for _, token := range append(inFlight, r.Token()) {
						r.mustLogin(t, token, auth.OK, 3*time.Second)
					}
					inFlight = inFlight[max(0, len(inFlight)-10):]
				}
			})
		})
	}
}

// Logins go on from all sides while keys come and go: old tokens as long as
// their key is published, new ones from the moment it signs.
func TestRemoteRotationUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		const rounds = 10
		var devices sync.WaitGroup
		for i := range 20 {
			devices.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				for range rounds * 10 {
					r.mustLogin(t, r.Token(), auth.OK, 3*time.Second)
					time.Sleep(time.Second)
				}
			})
		}
		for range rounds {
			time.Sleep(10 * time.Second)
			old := r.SigningKey()
			r.Rotate()
			time.Sleep(4 * time.Second) // those that wait for the new key still hold tokens of the old
			r.Remove(old.ID)
		}
		devices.Wait()
	})
}
