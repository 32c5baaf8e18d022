package client

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/linegate/linegate/wire"
)

// errSameToken is a source that has nothing newer. Sending that token would be
// answered OK and extend nothing.
var errSameToken = errors.New("client: the token source has no newer token")

// reauthEvery is the least time between two re-AUTHs; the gateway answers
// rate_limited to more.
const reauthEvery = time.Second

// renew keeps the session's token valid: at reauth_in, at once when the
// gateway asks for it, and again and again when that fails.
func (c *Conn) renew() {
	defer c.wg.Done()
	pace := pace{rand: c.cfg.Rand}
	due, fresh := c.renewalDue(), true
	var last time.Time // when the last attempt was over
	for {
		select {
		case <-due:
		case <-c.notice:
			fresh = true
			pace.forget() // little is left: what failed earlier must not slow this down
		case <-c.ctx.Done():
			return
		}
		if !c.sleep(time.Until(last.Add(reauthEvery))) {
			return
		}
		sent, err := c.reauth(fresh)
		last = time.Now()
		switch {
		case c.ctx.Err() != nil:
			return
		case err == nil:
			pace.forget()
			due, fresh = c.renewalDue(), true
			continue
		}
		end := asEnd(err)
		// What was sent may be sent again when the gateway says retry.
		fresh = fresh && !sent || end.Action == wire.Reauth
		wait := pace.after(end.Action, end.RetryAfter)
		if expires := c.expiry(); end.Action == wire.Retry && end.RetryAfter == 0 && !expires.IsZero() {
			wait = min(wait, max(0, time.Until(expires)/2)) // or the last wait is longer than the session
		}
		c.cfg.Hooks.Waiting(Wait{Renewal: true, Err: err, Action: end.Action, For: wait})
		due = time.After(wait)
	}
}

// expiry returns when the session ends unless it is renewed; zero when the gateway
// did not say.
func (c *Conn) expiry() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expires
}

// renewalDue fires at reauth_in after the last OK; never if that named none.
func (c *Conn) renewalDue() <-chan time.Time {
	if wait := c.Session().ReauthIn; wait > 0 {
		return time.After(wait)
	}
	return nil
}

// reauth sends one AUTH, if the source has a token for it, and waits for the
// answer.
func (c *Conn) reauth(fresh bool) (sent bool, err error) {
	token, err := c.cfg.token(c.ctx, fresh)
	if err != nil {
		return false, err
	}
	digest := sha256.Sum256([]byte(token))
	c.mu.Lock()
	same := digest == c.accepted
	c.mu.Unlock()
	if same {
		return false, errSameToken
	}
	select {
	case <-c.answers: // to nothing that was asked
	default:
	}
	if err := c.write(c.ctx, []byte(wire.AuthPrefix+token), false, nil); err != nil {
		return false, err
	}
	select {
	case answer := <-c.answers:
		if answer.Verb == wire.Err {
			return true, endOf(answer)
		}
		c.mu.Lock()
		c.accepted = digest
		c.mu.Unlock()
		return true, nil
	case <-c.ctx.Done():
		return true, c.over()
	}
}
