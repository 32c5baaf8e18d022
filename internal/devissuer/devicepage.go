package devissuer

import (
	"net/http"
	"time"
)

// showDevice is the page that a device sends people to (RFC 8628 section 3.3).
// It asks for the code unless the address has it, then who is there, and then
// whether the device may have what it asks for.
func (s *Server) showDevice(w http.ResponseWriter, r *http.Request) {
	typed := r.URL.Query().Get("user_code")
	if typed == "" {
		s.showEnterCode(w, http.StatusOK, "")
		return
	}
	b := s.welcome(w, r)
	here := at(devicePath, "user_code", typed)
	user, signedIn := s.user(b)
	if !signedIn { // who tries codes must at least come by here
		s.showSignIn(w, b, here, "your device")
		return
	}
	grant, fault := s.deviceByUserCode(typed)
	if fault != nil {
		s.showEnterCode(w, fault.status, fault.text)
		return
	}
	s.show(w, page{Name: "consent", Title: "Allow this device?", Data: consentPage{
		Action: here, FormToken: b.formToken, Client: grant.client, User: user.DisplayName(),
		Permissions: permissions(grant.scopes, grant.client.may(GrantRefresh)), UserCode: grant.userCode,
	}})
}

// decideDevice takes the person's answer; the device hears of it at its next
// poll.
func (s *Server) decideDevice(w http.ResponseWriter, r *http.Request) {
	f, ok := s.ownForm(w, r)
	if !ok {
		return
	}
	typed := r.URL.Query().Get("user_code")
	if s.signsInOrOut(w, r, f, at(devicePath, "user_code", typed)) {
		return
	}
	user, signedIn := s.user(f.browser)
	decision := f.params["decision"]
	if !signedIn || decision != "allow" && decision != "deny" {
		s.showUndecided(w)
		return
	}
	grant, fault := s.deviceByUserCode(typed)
	if fault != nil || !s.decideGrant(grant, user, decision == "allow") {
		s.showEnterCode(w, http.StatusBadRequest, wrongCode)
		return
	}
	s.config.Log.Info("device decided", "client_id", grant.client.ID, "sub", user.ID, "decision", decision)
	title, text := "Access allowed", "Your device continues within a few seconds. You can close this page."
	if decision == "deny" {
		title, text = "Access denied", "The device was told no. You can close this page."
	}
	s.show(w, page{Name: "message", Title: title, Data: text})
}

const wrongCode = "No device waits under this code. Compare it with the one that the device shows; after ten minutes the device must ask for a new one."

// codeFault says what is wrong with a user code.
type codeFault struct {
	status int
	text   string
}

// deviceByUserCode returns the device that waits under a code that was typed.
func (s *Server) deviceByUserCode(typed string) (*deviceGrant, *codeFault) {
	now := s.config.Now()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.state.wrongCodes.tooMany(now) {
		return nil, &codeFault{http.StatusTooManyRequests, "There were too many wrong codes. Wait a minute, then try again."}
	}
	grant, ok := s.state.userCodes.get(now, plainUserCode(typed))
	if !ok {
		s.state.wrongCodes.count++
		return nil, &codeFault{http.StatusBadRequest, wrongCode}
	}
	return grant, nil
}

// decideGrant keeps what the person has said, unless somebody was faster.
func (s *Server) decideGrant(grant *deviceGrant, user User, allowed bool) bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if grant.denied || grant.authorization != nil {
		return false
	}
	s.state.userCodes.remove(plainUserCode(grant.userCode))
	if allowed {
		grant.authorization = &authorization{client: grant.client, subject: user.ID, user: user.ID, scopes: grant.scopes}
	} else {
		grant.denied = true
	}
	return true
}

// wrongCodes counts wrong user codes, minute by minute, as they are short
// enough to be guessed by who may try without end (RFC 8628 section 5.1). All
// browsers count together: a new one is had for the asking.
type wrongCodes struct {
	minute time.Time
	count  int
}

const maxWrongCodes = 20 // a minute

func (c *wrongCodes) tooMany(now time.Time) bool {
	if minute := now.Truncate(time.Minute); !minute.Equal(c.minute) {
		*c = wrongCodes{minute: minute}
	}
	return c.count >= maxWrongCodes
}

// showEnterCode asks for the code; fault says what was wrong with the last.
func (s *Server) showEnterCode(w http.ResponseWriter, status int, fault string) {
	s.show(w, page{Name: "entercode", Status: status, Title: "Connect a device", Data: fault})
}
