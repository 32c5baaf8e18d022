package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"golang.org/x/oauth2"
)

// deviceFlow is one login by device authorization (RFC 8628): the person opens
// an address elsewhere and types a code, and this program asks until that is
// done, at the issuer's interval and until the code's expiry.
func deviceFlow(ctx context.Context, w io.Writer, oauth *oauthClient, wanted login) (login, error) {
	config := oauth.config(wanted.Scope)
	device, err := startDevice(ctx, oauth, config, wanted)
	if err != nil {
		return login{}, err
	}
	if err := showDevice(w, device); err != nil {
		return login{}, err
	}
	for {
		token, err := config.DeviceAccessToken(oauth.bind(ctx), device, wanted.extras()...)
		if err == nil {
			return wanted.granted(token, time.Now())
		}
		r, refused := errors.AsType[*refusal](answered("token", err, device.DeviceCode))
		switch {
		case ctx.Err() != nil:
			return login{}, ctx.Err()
		case refused && r.code == "access_denied":
			return login{}, errDenied
		case refused && r.code == "expired_token", !time.Now().Before(device.Expiry):
			return login{}, errors.New("the code has expired before it was used; log in again for a new one")
		case refused && r.code != "":
			return login{}, r
		}
		// A failure of the network or of a server in between says nothing
		// about the login; section 3.5 wants it tried again, and less often.
		device.Interval *= 2
	}
}

// Bounds of what an issuer says about a device code.
const (
	usualInterval   = 5                // seconds, RFC 8628 section 3.2
	longestInterval = 60               // seconds
	usualExpiry     = 15 * time.Minute // where the issuer fails to say
)

// startDevice asks for a code (RFC 8628 section 3.1).
func startDevice(ctx context.Context, oauth *oauthClient, config *oauth2.Config, wanted login) (*oauth2.DeviceAuthResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	device, err := config.DeviceAuth(oauth.bind(ctx), wanted.extras()...)
	if err != nil {
		return nil, answered("device authorization", err)
	}
	if device.DeviceCode == "" || device.UserCode == "" {
		return nil, errors.New("the device authorization endpoint gave no code")
	}
	for _, address := range []string{device.VerificationURI, device.VerificationURIComplete} {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			if address == device.VerificationURI {
				return nil, fmt.Errorf("the device authorization endpoint gave no address for a browser but %s", brief(address, true))
			}
			device.VerificationURIComplete = "" // optional
		}
	}
	if device.Interval <= 0 {
		device.Interval = usualInterval
	}
	device.Interval = min(device.Interval, longestInterval)
	if device.Expiry.IsZero() {
		device.Expiry = time.Now().Add(usualExpiry)
	}
	return device, nil
}

// showDevice tells the person where to go and what to type.
func showDevice(w io.Writer, device *oauth2.DeviceAuthResponse) error {
	scanned := device.VerificationURIComplete
	if scanned == "" {
		scanned = device.VerificationURI
	}
	code, err := qrCode(scanned)
	if err != nil {
		return fmt.Errorf("QR code of %s: %w", brief(scanned, true), err)
	}
	_, err = fmt.Fprintf(w, `To log in, open this address on any device:

  %s

and type, or check that it shows, this code:

  %s

Or scan this:

%s
Waiting for the answer, at most %v; Ctrl-C gives up.
`, brief(device.VerificationURI, true), brief(device.UserCode, true), code, time.Until(device.Expiry).Round(time.Second))
	return err
}
