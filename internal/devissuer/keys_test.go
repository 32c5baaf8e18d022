package devissuer_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
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
	if !verifiesES256(t, early, server.do("GET", "/jwks", "").body) {
		t.Error("rotated: a token from before no longer verifies")
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
			server.ServeHTTP(recorder, httptest.NewRequest("GET", "/jwks", nil))
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

// TestAlgorithms: every algorithm signs, and is published as what it is.
func TestAlgorithms(t *testing.T) {
	for algorithm, kty := range map[string]string{"ES384": "EC", "PS256": "RSA", "EdDSA": "OKP", "Ed25519": "OKP"} {
		server := start(t, devissuer.Config{Algorithm: algorithm})
		header, _ := decode(t, server.token())
		var set struct {
			Keys []struct{ Alg, Kty, Kid, Use string }
		}
		body := server.do("GET", "/jwks", "").body
		if err := json.Unmarshal([]byte(body), &set); err != nil {
			t.Fatal(err)
		}
		key := set.Keys[0]
		if header["alg"] != algorithm || key.Alg != algorithm || key.Kty != kty || key.Use != "sig" || key.Kid != header["kid"] {
			t.Errorf("%s: header %v, key %+v", algorithm, header, key)
		}
	}
}

// TestControlIsLocal: what may reach /dev/ and what may not.
func TestControlIsLocal(t *testing.T) {
	server, err := devissuer.New(devissuer.Config{Issuer: "http://127.0.0.1:8880"})
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		why     string
		peer    string
		host    string
		headers map[string]string
		want    int
	}{
		{"curl", "127.0.0.1:50000", "127.0.0.1:8880", nil, 200},
		{"curl by name", "127.0.0.1:50000", "LocalHost:8880", nil, 200},
		{"curl over IPv6", "[::1]:50000", "[::1]:8880", nil, 200},
		{"no port in Host", "[::ffff:127.0.0.1]:50000", "[::1]", nil, 200},
		{"a page of the issuer's own", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "http://127.0.0.1:8880", "Sec-Fetch-Site": "same-origin"}, 200},
		{"another machine", "192.0.2.1:50000", "127.0.0.1:8880", nil, 403},
		{"a peer without address", "@", "127.0.0.1:8880", nil, 403},
		{"DNS rebinding", "127.0.0.1:50000", "evil.example:8880", nil, 403},
		{"a name that begins like an address", "127.0.0.1:50000", "127.0.0.1.evil.example", nil, 403},
		{"DNS rebinding, same origin to the browser", "127.0.0.1:50000", "evil.example:8880", map[string]string{"Origin": "http://evil.example:8880", "Sec-Fetch-Site": "same-origin"}, 403},
		{"no Host", "127.0.0.1:50000", "", nil, 403},
		{"a foreign page", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a page on another local port", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a foreign page in an old browser", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "https://evil.example"}, 403},
		{"a sandboxed page", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "null"}, 403},
	} {
		t.Run(strconv.Itoa(i)+" "+test.why, func(t *testing.T) {
			request := httptest.NewRequest("POST", "/dev/rotate", nil)
			request.RemoteAddr, request.Host = test.peer, test.host
			for name, value := range test.headers {
				request.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, request)
			if recorder.Code != test.want {
				t.Errorf("%d %s, want %d", recorder.Code, recorder.Body, test.want)
			}
		})
	}
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
