package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// Every attack of the table ends as that says, tells nothing of the token, and
// makes nobody connect anywhere. Among the tokens of each group one is good.
func TestAttacks(t *testing.T) {
	a := authtest.NewAttacks(t, authtest.New)
	v, err := auth.NewVerifier(auth.Config{Issuers: a.Configs(), Now: func() time.Time { return a.Now }})
	if err != nil {
		t.Fatal(err)
	}
	good, seen := map[string]bool{}, map[string]bool{} // groups, and rows
	for _, attack := range a.Rows {
		if seen[attack.String()] {
			t.Errorf("two rows are named %q", attack)
		}
		seen[attack.String()] = true
		good[attack.Group] = good[attack.Group] || attack.Outcome == auth.OK
		t.Run(attack.String(), func(t *testing.T) {
			var proof auth.Proof
			if attack.Client != nil {
				proof.Certificate = attack.Client.Certificate[0]
			}
			identity, err := v.Verify(t.Context(), attack.Token, proof)
			if err == nil {
				if attack.Outcome != auth.OK || identity.IssuerName != attack.IssuerName {
					t.Errorf("accepted, want %v %s; issuer %q, want %q", attack.Outcome, attack.Claim, identity.IssuerName, attack.IssuerName)
				}
				if identity.Expires.Year() > 9999 {
					t.Errorf("expires %v, which no record can say", identity.Expires)
				}
				return
			}
			refusal, ok := errors.AsType[*auth.Error](err)
			if !ok || identity != nil {
				t.Fatalf("not an *auth.Error: %v; identity %v", err, identity)
			}
			got := auth.Error{Outcome: refusal.Outcome, Claim: refusal.Claim, IssuerName: refusal.IssuerName, KeyID: refusal.KeyID}
			if want := (auth.Error{Outcome: attack.Outcome, Claim: attack.Claim, IssuerName: attack.IssuerName, KeyID: attack.KeyID}); got != want {
				t.Errorf("got  %+v (%v)\nwant %+v", got, err, want)
			}
			checkSecrecy(t, err.Error(), attack.Token)
		})
	}
	for group, has := range good {
		if !has {
			t.Errorf("%s: there is no good token in it", group)
		}
	}
	if n := a.Visits(); n > 0 {
		t.Errorf("%d connections to where tokens point", n)
	}
}
