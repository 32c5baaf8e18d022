package auth_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/linegate/linegate/auth"
)

// A verifier for one issuer, whose keys are found by discovery and kept fresh
// until ctx ends.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	keys, err := auth.NewRemote(auth.RemoteConfig{Name: "main", Issuer: "https://login.example.com"})
	if err != nil {
		panic(err)
	}
	go keys.Run(ctx)

	verifier, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{{
		Name: "main", Issuer: "https://login.example.com",
		Audience: []string{"linegate"}, RequiredScopes: []string{"line:connect"},
		Keys: keys,
	}}})
	if err != nil {
		panic(err)
	}

	_, err = verifier.Verify(ctx, "not.a.token", auth.Proof{})
	if refusal, ok := errors.AsType[*auth.Error](err); ok {
		fmt.Println(refusal.Outcome)
	}
	// Output: format
}
