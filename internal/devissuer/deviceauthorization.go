package devissuer

import (
	"crypto/rand"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// deviceGrant is what a device without a browser waits for (RFC 8628). The
// fields that change are guarded by state.mu.
type deviceGrant struct {
	client   Client
	scopes   []string
	userCode string // as it is shown
	expires  time.Time

	interval      time.Duration  // least time between two polls
	polled        time.Time      // last; zero: never
	authorization *authorization // once allowed
	denied        bool
}

// pollInterval is where the interval between polls begins, and what each poll
// that comes too early adds to it (RFC 8628 section 3.5).
const pollInterval = 5 * time.Second

// deviceAnswer is RFC 8628 section 3.2.
type deviceAnswer struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int64  `json:"expires_in"` // seconds
	Interval                int64  `json:"interval"`   // seconds
}

// serveDeviceAuthorization is the device authorization endpoint (RFC 8628
// section 3.1).
func (s *Server) serveDeviceAuthorization(w http.ResponseWriter, r *http.Request) {
	answer, refusal := s.beginDevice(w, r)
	if refusal != nil {
		s.refuse(w, "device authorization refused", refusal)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) beginDevice(w http.ResponseWriter, r *http.Request) (deviceAnswer, *tokenError) {
	params, refusal := readForm(w, r)
	if refusal != nil {
		return deviceAnswer{}, refusal
	}
	client, refusal := s.authenticate(r, params)
	if refusal != nil {
		return deviceAnswer{}, refusal
	}
	if !client.may(GrantDevice) {
		return deviceAnswer{}, unauthorizedClient()
	}
	scopes, refusal := client.granted(params["scope"])
	if refusal != nil {
		return deviceAnswer{}, refusal
	}

	now := s.config.Now()
	grant := &deviceGrant{
		client: client, scopes: scopes, userCode: newUserCode(),
		expires: now.Add(deviceLife), interval: pollInterval,
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.userCodes.put(now, plainUserCode(grant.userCode), grant)
	return deviceAnswer{
		DeviceCode:              s.state.devices.add(now, grant),
		UserCode:                grant.userCode,
		VerificationURI:         s.config.Issuer + devicePath,
		VerificationURIComplete: s.config.Issuer + at(devicePath, "user_code", grant.userCode),
		ExpiresIn:               int64(deviceLife / time.Second),
		Interval:                int64(pollInterval / time.Second),
	}, nil
}

// userCodeLetters cannot be taken for each other and make no words (RFC 8628
// section 6.1).
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

// newUserCode returns eight letters in two halves: 34 random bits, and few
// tries, see wrongCodes.
func newUserCode() string {
	var code strings.Builder
	for i := range 8 {
		if i == 4 {
			code.WriteByte('-')
		}
		letter, _ := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters)))) // rand.Reader does not fail
		code.WriteByte(userCodeLetters[letter.Int64()])
	}
	return code.String()
}

// plainUserCode leaves of what a person typed what counts (RFC 8628 section
// 6.1): letters, in upper case.
func plainUserCode(typed string) string {
	return strings.Map(func(c rune) rune {
		if c < 'A' || c > 'Z' {
			return -1
		}
		return c
	}, strings.ToUpper(typed))
}

// pollDevice answers a device that asks whether the person has decided (RFC
// 8628 section 3.4).
func (s *Server) pollDevice(client Client, params map[string]string) (tokenAnswer, *tokenError) {
	if params["device_code"] == "" {
		return tokenAnswer{}, invalidRequest("device_code is missing")
	}
	a, refusal := s.decidedDevice(client, params["device_code"])
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	return s.issueFirst(a)
}

// decidedDevice returns what the person has allowed, once, or what the device
// is told instead (RFC 8628 section 3.5). A poll may come a tenth of the
// interval early, as networks and timers do not keep it to the millisecond.
func (s *Server) decidedDevice(client Client, deviceCode string) (*authorization, *tokenError) {
	now := s.config.Now()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	grant, ok := s.state.devices.get(now, deviceCode)
	if !ok || grant.client.ID != client.ID {
		return nil, invalidGrant("the device code is unknown or was used, or is another client's")
	}
	early := !grant.polled.IsZero() && now.Sub(grant.polled) < grant.interval-grant.interval/10
	grant.polled = now
	switch {
	case !now.Before(grant.expires):
		return nil, &tokenError{Code: "expired_token", Description: "nobody has decided in time"}
	case early:
		grant.interval += pollInterval
		return nil, &tokenError{Code: "slow_down", Description: "polled too early; the interval is 5 seconds longer from now on"}
	case grant.denied:
		return nil, &tokenError{Code: "access_denied", Description: "the user has denied it"}
	case grant.authorization == nil:
		return nil, &tokenError{Code: "authorization_pending", Description: "the user has not decided yet"}
	}
	s.state.devices.remove(deviceCode)
	return grant.authorization, nil
}
