package main

import (
	"slices"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
)

// A failure that has nothing to do with one session ends it all, and says how
// far it came.
func TestKickFails(t *testing.T) {
	api := answerAdmin(t, adminAnswer{204, nil, ""}, adminAnswer{500, nil, `{"error":"server_error"}`})
	got := run(t, "", "kick", "A", "B", "C", "--admin-url", api.url, "--admin-token-file", tokenFile(t, authtest.New(t)))
	want := result{exitFailure, "A: ended\n", "linegatectl: B: the admin API answered HTTP 500 server_error; done before: 1 of 3\n"}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if asked := api.requests(); !slices.Equal(asked, []string{"DELETE /v1/sessions/A", "DELETE /v1/sessions/B"}) {
		t.Errorf("asked %q", asked)
	}
}

// Those that are there are ended, whatever else was named; their tokens stay
// good.
func TestKick(t *testing.T) {
	o := operate(t, nil)
	a, b, c := o.connect(), o.connect(), o.connect()
	got := o.run("kick", a.session, "NOBODY", b.session)
	want := result{
		exitFailure, a.session + ": ended\nNOBODY: no such session\n" + b.session + ": ended\n",
		"linegatectl: not found: 1 of 3\n",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	a.ended()
	b.ended()
	c.lives()
	o.connectWith(a.token).lives()
	if got := o.run("kick", c.session); got != (result{exitOK, c.session + ": ended\n", ""}) {
		t.Errorf("%+v", got)
	}
}
