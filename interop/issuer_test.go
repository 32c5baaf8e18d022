package interop

import (
	"testing"
)

// startDev runs linegate-dev on free ports.
func startDev(t *testing.T, flags ...string) (issuer, gateway string) {
	t.Helper()
	dev := start(t, "linegate-dev", append([]string{
		"--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--issuer-listen", "127.0.0.1:0",
	}, flags...)...)
	gateway = dev.line(`^ +gateway +([0-9.]+:\d+)$`)[1]
	issuer = dev.line(`^ +issuer +(http://[0-9.:]+)`)[1]
	return issuer, gateway
}

// TestOpenIDClient has the flows that openid-client.mjs lists, each with what
// the person does there.
func TestOpenIDClient(t *testing.T) {
	issuer, gateway := startDev(t)
	for _, flow := range []struct {
		name   string
		person func(*testing.T, *process)
	}{
		{"discovery", nobody},
		{"client credentials", nobody},
		{"authorization code", allows(1)},
		{"denied consent", denies},
		{"misused code", allows(4)},
		{"device flow", decidesDevice("Allow")},
		{"denied device", decidesDevice("Deny")},
		{"revocation and introspection", allows(1)},
	} {
		t.Run(flow.name, func(t *testing.T) {
			client := start(t, "node", "openid-client.mjs", flow.name, issuer, gateway)
			flow.person(t, client)
			client.line(`^done$`)
			if status := client.status(); status != 0 {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

func nobody(*testing.T, *process) {}

// allows signs in as Alice and allows what the client asks for, as often as it
// asks; she stays signed in.
func allows(times int) func(*testing.T, *process) {
	return func(t *testing.T, client *process) {
		alice := newPerson(t)
		for n := range times {
			alice.opens(client.line(`^open (.+)`)[1])
			if n == 0 {
				alice.presses("Alice")
			}
			alice.presses("Allow")
			client.types(alice.at.String())
		}
	}
}

func denies(t *testing.T, client *process) {
	alice := newPerson(t)
	alice.opens(client.line(`^open (.+)`)[1])
	alice.presses("Alice")
	alice.presses("Deny")
	client.types(alice.at.String())
}

func decidesDevice(button string) func(*testing.T, *process) {
	return func(t *testing.T, client *process) {
		asked := client.line(`^enter (.+) at (.+)`)
		alice := newPerson(t)
		alice.opens(asked[2])
		alice.presses("Continue", "user_code="+asked[1])
		alice.presses("Alice")
		alice.sees(asked[1])
		alice.presses(button)
	}
}
