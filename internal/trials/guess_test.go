package trials

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
)

// guesser makes tokens that name keys which an issuer does not have. All but
// their signature is in order, or they would be refused before any key is
// looked for.
type guesser struct {
	payload, signature string
	made               *atomic.Int64
}

func newGuesser(t testing.TB, iss *authtest.Issuer) guesser {
	parts := strings.Split(iss.Token(), ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	return guesser{payload: parts[1], signature: parts[2], made: new(atomic.Int64)}
}

// guess returns a token whose key id no other has. It is as long as may be, so
// that a gateway which remembered them would grow.
func (g guesser) guess() string {
	kid := fmt.Sprintf("guess-%d-", g.made.Add(1))
	kid += strings.Repeat("x", 256-len(kid))
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"at+jwt","alg":"ES256","kid":"` + kid + `"}`))
	return header + "." + g.payload + "." + g.signature
}
