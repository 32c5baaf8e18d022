package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth"
)

// The words are a contract with dashboards.
func TestOutcomeWords(t *testing.T) {
	const want = "ok format algorithm signature expired not_yet_valid issuer audience type scope claims " +
		"unknown_key keys_unavailable binding revoked mismatch rate_limited overload too_many_sessions internal"
	var words []string
	for _, o := range auth.Outcomes() {
		words = append(words, o.String())
	}
	if got := strings.Join(words, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := auth.Outcome(200).String(); got != "internal" {
		t.Errorf("an outcome that is none: %q", got)
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("has passed")
	for _, tt := range []struct {
		err  auth.Error
		want string
	}{
		{auth.Error{Outcome: auth.Overload}, "auth: overload"},
		{auth.Error{Outcome: auth.Signature, Err: cause}, "auth: signature: has passed"},
		{auth.Error{Outcome: auth.Expired, Claim: "exp", Err: cause}, "auth: expired (exp): has passed"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if !errors.Is(&auth.Error{Err: cause}, cause) {
		t.Error("the cause is lost")
	}
}
