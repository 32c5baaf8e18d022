package devissuer

import (
	"sync"
	"time"
)

// Bounds of what is remembered. They keep a development server small; a
// client that does not abuse it does not meet them.
const (
	maxBrowsers  = 1000
	maxRequests  = 1000 // of authorization, and of devices
	maxCodes     = 1000
	maxFamilies  = 1000
	maxTokens    = 10_000
	browserLife  = 12 * time.Hour
	requestLife  = 10 * time.Minute // for a person to decide in
	codeLife     = time.Minute      // RFC 9700 section 2.1.1: short-lived
	codeMemory   = 24 * time.Hour   // how long a used code is known as such
	deviceLife   = 10 * time.Minute // RFC 8628 section 3.2 expires_in
	deviceMemory = 20 * time.Minute // how long it is said to have expired
	refreshLife  = 24 * time.Hour   // of a refresh token that is not used
)

// maxLifetime is the longest life of an access token.
const maxLifetime = 24 * time.Hour

// state is what the server remembers; it lasts as long as the process.
type state struct {
	mu         sync.Mutex           // guards all of it, and what it points to
	browsers   *store[*browser]     // by cookie
	requests   *store[*request]     // that wait for a person, by the page's parameter
	codes      *store[*code]        // by authorization code
	devices    *store[*deviceGrant] // by device code
	userCodes  *store[*deviceGrant] // by user code
	families   *store[*family]      // by the first half of a refresh token
	tokens     *store[*issuedToken] // by access token
	wrongCodes wrongCodes
}

func newState() *state {
	return &state{
		browsers:  newStore[*browser](maxBrowsers, browserLife),
		requests:  newStore[*request](maxRequests, requestLife),
		codes:     newStore[*code](maxCodes, codeMemory),
		devices:   newStore[*deviceGrant](maxRequests, deviceMemory),
		userCodes: newStore[*deviceGrant](maxRequests, deviceLife),
		families:  newStore[*family](maxFamilies, refreshLife),
		tokens:    newStore[*issuedToken](maxTokens, maxLifetime),
	}
}
