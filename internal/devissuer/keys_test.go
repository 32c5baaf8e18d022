package devissuer_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestKeyLife follows keys through their three ages: published, signing,
// retiring.
func TestKeyLife(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{TokenLifetime: time.Minute, Now: clock.Now})
	signing := func() string {
		header, _ := decode(t, server.token())
		return header["kid"].(string)
	}
	expect := func(when string, want ...string) {
		t.Helper()
		if got := server.keyIDs(); !slices.Equal(got, want) {
			t.Errorf("%s: published %q, want %q", when, got, want)
		}
		if got := signing(); got != want[0] {
			t.Errorf("%s: %q signs, want %q", when, got, want[0])
		}
	}
	rotate := func() (fresh string) {
		t.Helper()
		if _, err := server.Rotate(); err != nil {
			t.Fatal(err)
		}
		return server.keyIDs()[1]
	}

	start := server.keyIDs()
	a, b := start[0], start[1]
	expect("at start", a, b)
	early := server.token()

	c := rotate()
	expect("rotated: the published key signs, a new one is published", b, c, a)
	if err := server.verify(early, clock.Now); err != nil {
		t.Errorf("rotated: a token from before: %v", err)
	}

	clock.Advance(30 * time.Second)
	d := rotate()
	expect("half a lifetime later, again", c, d, a, b)

	clock.Advance(30*time.Second - 1)
	expect("before the first key's last token expired", c, d, a, b)
	clock.Advance(1)
	expect("when it expired", c, d, b)
	clock.Advance(30 * time.Second)
	expect("when the second's expired", c, d)
}

// TestRotationWithTokensInFlight: at no time does the key set lack the key of
// a token that has not expired.
func TestRotationWithTokensInFlight(t *testing.T) {
	server := start(t, devissuer.Config{})
	var issuing sync.WaitGroup
	for range 4 {
		issuing.Go(func() {
			for range 10 {
				token := server.token()
				header, _ := decode(t, token)
				if !slices.Contains(server.keyIDs(), header["kid"].(string)) {
					t.Errorf("the key of a new token is not published")
				}
			}
		})
	}
	for range 20 {
		if _, err := server.Rotate(); err != nil {
			t.Error(err)
		}
	}
	issuing.Wait()
}

// TestRotateOnRequest: POST /dev/rotate, as often as there are places for
// retiring keys.
func TestRotateOnRequest(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	next := server.keyIDs()[1]

	got := server.do("POST", "/dev/rotate", "")
	if got.status != http.StatusOK || got.member(t, "signing") != next {
		t.Fatalf("%d %s, want %q to sign", got.status, got.body, next)
	}
	var body struct{ Published []string }
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || !slices.Equal(body.Published, server.keyIDs()) {
		t.Errorf("%s, want published as in the key set (%v)", got.body, err)
	}

	statuses := map[int]int{}
	for range 40 {
		statuses[server.do("POST", "/dev/rotate", "").status]++
	}
	if statuses[http.StatusOK] != 31 || statuses[http.StatusTooManyRequests] != 9 {
		t.Errorf("after 41 rotations without a key retired: %v", statuses)
	}
	clock.Advance(devissuer.DefaultTokenLifetime)
	if got := server.do("POST", "/dev/rotate", ""); got.status != http.StatusOK {
		t.Errorf("when they have: %d %s", got.status, got.body)
	}
	if got := len(server.keyIDs()); got != 3 {
		t.Errorf("%d keys published, want 3", got)
	}
}

// TestRotateOnTimer runs in synctest's time, so without a socket.
func TestRotateOnTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := devissuer.New(devissuer.Config{
			Issuer: "http://127.0.0.1:8880", TokenLifetime: time.Minute, RotateEvery: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		published := func() int {
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, httptest.NewRequest("GET", "http://127.0.0.1:8880/jwks", nil))
			var set struct{ Keys []any }
			if err := json.Unmarshal(recorder.Body.Bytes(), &set); err != nil {
				t.Fatal(err)
			}
			return len(set.Keys)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- server.Run(ctx) }()

		for minute, want := range []int{2, 3, 3, 3} {
			if got := published(); got != want {
				t.Errorf("minute %d: %d keys, want %d", minute, got, want)
			}
			<-time.After(time.Minute) // by synctest's clock
			synctest.Wait()
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// clock is a wall clock that stands still.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
