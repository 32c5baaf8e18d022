package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// TestInspectAgreesOnAttacks: every token of the table has the verdict that the
// gateway gives it, by its word and by the exit status, and nothing of it is
// shown that must not be.
func TestInspectAgreesOnAttacks(t *testing.T) {
	a := authtest.NewAttacks(t, authtest.Serve)
	type issuer struct {
		Name       string   `json:"name"`
		Issuer     string   `json:"issuer"`
		Audience   []string `json:"audience"`
		Scopes     []string `json:"required_scopes"`
		Algorithms []string `json:"algorithms"`
		Types      []string `json:"token_types,omitempty"`
	}
	var issuers []issuer
	for _, c := range a.Configs() {
		issuers = append(issuers, issuer{c.Name, c.Issuer, c.Audience, c.RequiredScopes, c.Algorithms, c.TokenTypes})
	}
	config, err := json.Marshal(map[string]any{ // which is YAML too
		"issuers": issuers, "session": map[string]any{"max_auth_line": authtest.MaxAuthLine},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "linegate.yaml", string(config))
	for _, attack := range a.Rows {
		t.Run(attack.String(), func(t *testing.T) {
			args := []string{"token", "inspect", "--config", file}
			if attack.Client != nil {
				args = append(args, "--client-cert", write(t, "client.pem", string(pem.EncodeToMemory(
					&pem.Block{Type: "CERTIFICATE", Bytes: attack.Client.Certificate[0]}))))
			}
			var stdout, stderr bytes.Buffer
			status := (&console{
				environ: noLogin(t), stdin: strings.NewReader(attack.Token + "\n"), stdout: &stdout, stderr: &stderr,
				now: func() time.Time { return a.Now },
			}).run(t.Context(), args)

			verdict, wantStatus := attack.Outcome.String(), exitFailure
			switch {
			case len("AUTH ")+len(attack.Token) > authtest.MaxAuthLine: // the gateway says invalid_request to it
				verdict = "format"
			case attack.Outcome == auth.OK:
				verdict, wantStatus = "ok", exitOK
			case attack.Claim != "":
				verdict += " (" + attack.Claim + ")"
			}
			if got := verdictIn(stdout.String(), stderr.String()); status != wantStatus || got != verdict {
				t.Errorf("status %d, verdict %q; want %d, %q\n%s", status, got, wantStatus, verdict, stderr.String())
			}
			if shows(stdout.String()+stderr.String(), attack.Token) {
				t.Error("a part of the token is shown")
			}
		})
	}
	if n := a.Visits(); n > 0 {
		t.Errorf("%d connections to where tokens point", n)
	}
}

// verdictIn reads what inspect says of a token: an outcome, with the claim at
// fault.
func verdictIn(stdout, stderr string) string {
	if stderr == "" && strings.Contains(stdout, "\naccepted: ") {
		return "ok"
	}
	refusal, _ := strings.CutPrefix(stderr, "linegatectl: refused: ")
	verdict, _, _ := strings.Cut(strings.TrimSuffix(refusal, "\n"), ":")
	return verdict
}
