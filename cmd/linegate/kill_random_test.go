package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// TestKillAtAnyMoment: the program is killed 50 times, at any moment, while
// operators revoke, and take back, as fast as they are answered, and a device talks.
// Each time it starts again, without its issuer: what was confirmed is there, what
// was taken back is not, the last good keys serve, and what the device had been
// told is in order, so that before each pong all that it stands for was answered.
func TestKillAtAnyMoment(t *testing.T) {
	const rounds, operators = 50, 4
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, onePort, "state_dir: state"))
	operator := issuer.Token(authtest.Claim("scope", "linegate:admin"))
	device := issuer.Token()
	k := &killed{t: t, token: operator, present: map[string]bool{}, absent: map[string]bool{}}
	answered := 0
	for round := range rounds {
		p := startProgram(t)
		talk := p.login(device)
		talk.Split(wholeLines)
		talk.want("OK AUTH ")
		if round == 0 {
			waitForKeys(t)
			issuer.Fail(authtest.Refused)
		}
		k.check(p)
		var all sync.WaitGroup
		for n := range operators {
			all.Go(func() { k.revoke(p.admin, fmt.Sprint(round, "-", n)) })
		}
		all.Go(func() { // until it is killed
			for n := 0; ; n++ {
				if _, err := fmt.Fprint(talk.conn, n, "\nping\n"); err != nil {
					return
				}
			}
		})
		all.Go(func() { answered += k.listen(talk) })
		time.Sleep(rand.N(100 * time.Millisecond))
		p.kill()
		all.Wait()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	k.check(startProgram(t))
	t.Logf("%d revocations confirmed, %d taken back, %d lines answered", len(k.present), len(k.absent), answered)
	if len(k.present) == 0 || len(k.absent) == 0 || answered == 0 {
		t.Error("the program never got to confirm anything")
	}
	if left, err := filepath.Glob("state/*.tmp"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// killed is what operators were told by programs that were killed.
type killed struct {
	t     *testing.T
	token string

	mu              sync.Mutex
	present, absent map[string]bool // for certain, by id
}

// revoke revokes, and takes every third back, until the program is gone.
func (k *killed) revoke(address, subject string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for n := 0; ; n++ {
		var made struct{ ID string }
		body := fmt.Sprintf(`{"issuer":"main","subject":"%s-%d"}`, subject, n)
		if !k.request(client, http.MethodPost, address, "", body, http.StatusCreated, &made) {
			return
		}
		k.tell(k.present, made.ID, true)
		if n%3 > 0 {
			continue
		}
		k.tell(k.present, made.ID, false) // it may go without a word
		if !k.request(client, http.MethodDelete, address, "/"+made.ID, "", http.StatusNoContent, nil) {
			return
		}
		k.tell(k.absent, made.ID, true)
	}
}

func (k *killed) tell(what map[string]bool, id string, is bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if delete(what, id); is {
		what[id] = true
	}
}

// request reports whether it was confirmed; it is not only where the program is gone.
func (k *killed) request(client *http.Client, method, address, path, body string, status int, answer any) bool {
	request, err := http.NewRequestWithContext(k.t.Context(), method, "http://"+address+"/v1/revocations"+path, strings.NewReader(body))
	if err != nil {
		k.t.Error(err)
		return false
	}
	request.Header.Set("Authorization", "Bearer "+k.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != status {
		k.t.Errorf("%s %s: %s %s", method, path, response.Status, text)
		return false
	}
	// From here on it has been confirmed, unless the answer is cut in its middle.
	return err == nil && (answer == nil || json.Unmarshal(text, answer) == nil)
}

// check asks for all revocations that are in force.
func (k *killed) check(p *process) {
	k.t.Helper()
	found := map[string]bool{}
	for after, more := "", true; more; {
		var page struct {
			Items []struct{ ID string }
			Next  *string
		}
		p.ask(k.token, http.MethodGet, "?limit=1000&after="+after, "", http.StatusOK, &page)
		for _, r := range page.Items {
			found[r.ID] = true
		}
		if more = page.Next != nil; more {
			after = *page.Next
		}
	}
	for id := range k.present {
		if !found[id] {
			k.t.Errorf("revocation %s was confirmed, and is gone", id)
		}
	}
	for id := range k.absent {
		if found[id] {
			k.t.Errorf("revocation %s was taken back, and is there again", id)
		}
	}
}

// listen reads to the end what a device is told, and returns how many lines were
// answered.
func (k *killed) listen(talk *answers) (lines int) {
	for n := 0; ; n++ {
		for _, want := range []string{fmt.Sprint("from server: ", n), "pong"} {
			if !talk.Scan() {
				return lines
			}
			if got := talk.Text(); got != want {
				k.t.Errorf("got %q, want %q", got, want)
				return lines
			}
			lines++
		}
	}
}

// wholeLines leaves out a last line that has no end.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if advance, token, err = bufio.ScanLines(data, false); atEOF && advance == 0 {
		return len(data), nil, err
	}
	return advance, token, err
}
