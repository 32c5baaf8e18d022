package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// The whole login on a machine without a browser: the person answers on another
// device while linegatectl asks every 5 s.
func TestLoginDevice(t *testing.T) {
	for decision, want := range map[string]result{
		"allow": {exitOK, "Logged in as bob at http://127.0.0.1:8880, for: line:connect offline_access\n", ""},
		"deny":  {exitFailure, "", "linegatectl: denied: the issuer or the person there granted nothing (access_denied)\n"},
		"":      {exitFailure, "", "linegatectl: the code has expired before it was used; log in again for a new one\n"},
	} {
		t.Run(decision, func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "tokens.json")
			synctest.Test(t, func(t *testing.T) {
				issuer := observe(t, devissuer.Config{Issuer: "http://127.0.0.1:8880"})
				stdout, out := io.Pipe()
				var stderr bytes.Buffer
				c := &console{stdin: strings.NewReader(""), stdout: out, stderr: &stderr, transport: issuer}
				begun, status := time.Now(), make(chan int, 1)
				go func() {
					status <- c.run(t.Context(), []string{"login", "--device", "--token-store", store})
					out.Close()
				}()
				lines := bufio.NewReader(stdout)
				shown := until(t, lines, "Ctrl-C gives up.\n")
				code := shownCode(t, shown)
				if decision != "" {
					<-time.After(12 * time.Second)
					if _, err := decide(issuer, "http://127.0.0.1:8880/device?user_code="+code, "bob", decision); err != nil {
						t.Fatal(err)
					}
				}
				rest, err := io.ReadAll(lines)
				if got := (result{<-status, string(rest), stderr.String()}); got != want || err != nil {
					t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
				}
				took := 15 * time.Second // the third question
				if decision == "" {
					took = 10 * time.Minute
				}
				if got := time.Since(begun); got.Round(time.Second) != took {
					t.Errorf("took %v, want %v", got, took)
				}
				issuer.wantNoSecret(t, shown+string(rest)+stderr.String())
			})
		})
	}
}

// until reads up to the end of the first line that ends so.
func until(t *testing.T, lines *bufio.Reader, end string) (text string) {
	t.Helper()
	for !strings.HasSuffix(text, end) {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %s", err, text)
		}
		text += line
	}
	return text
}

// shownCode checks what the person is shown, and returns the code in it.
func shownCode(t *testing.T, shown string) string {
	t.Helper()
	blocks := strings.Split(shown, "\n\n")
	if len(blocks) != 7 || blocks[1] != "  http://127.0.0.1:8880/device" {
		t.Fatalf("shown: %s", shown)
	}
	code := strings.TrimSpace(blocks[3])
	drawn, err := qrCode("http://127.0.0.1:8880/device?user_code=" + code)
	if err != nil || blocks[5]+"\n" != drawn {
		t.Errorf("the QR code is not that of the address with the code %s", code)
	}
	return code
}

// device is an issuer that gives this device code and then these answers, and
// notes when they were asked for.
type device struct {
	code    string
	answers []string // the last one again and again
	begun   time.Time
	asked   []time.Duration
}

func (d *device) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/device" {
		return respond(200, d.code), nil
	}
	d.asked = append(d.asked, time.Since(d.begun))
	answer := d.answers[0]
	if len(d.answers) > 1 {
		d.answers = d.answers[1:]
	}
	switch {
	case answer == "cut":
		return nil, io.ErrUnexpectedEOF
	case answer == "hang":
		<-r.Context().Done()
		return nil, r.Context().Err()
	case strings.HasPrefix(answer, "<"):
		return respond(503, answer), nil
	case strings.HasPrefix(answer, "{"):
		return respond(200, answer), nil
	}
	return respond(400, `{"error":"`+answer+`"}`), nil
}

// When the issuer is asked (RFC 8628 section 3.5), and how it ends.
func TestDevicePolling(t *testing.T) {
	const s = time.Second
	granted := `{"access_token":"` + jwt("1") + `","token_type":"Bearer"}`
	for name, test := range map[string]struct {
		code    string // members beside the codes and the address
		answers []string
		asked   []time.Duration
		err     string
	}{
		"at the interval":              {`,"interval":2`, []string{"authorization_pending", "authorization_pending", granted}, []time.Duration{2 * s, 4 * s, 6 * s}, ""},
		"5 s where there is none":      {"", []string{"authorization_pending", granted}, []time.Duration{5 * s, 10 * s}, ""},
		"5 s where it is nonsense":     {`,"interval":-1`, []string{granted}, []time.Duration{5 * s}, ""},
		"a minute at most":             {`,"interval":9999999999999`, []string{granted}, []time.Duration{60 * s}, ""},
		"slow_down: 5 s more each":     {"", []string{"slow_down", "authorization_pending", "slow_down", granted}, []time.Duration{5 * s, 15 * s, 25 * s, 40 * s}, ""},
		"network down: half as often":  {"", []string{"cut", "cut", granted}, []time.Duration{5 * s, 15 * s, 35 * s}, ""},
		"a proxy's page":               {"", []string{"<html>", granted}, []time.Duration{5 * s, 15 * s}, ""},
		"denied":                       {"", []string{"access_denied"}, []time.Duration{5 * s}, errDenied.Error()},
		"expired, says the issuer":     {"", []string{"expired_token"}, []time.Duration{5 * s}, "the code has expired before it was used; log in again for a new one"},
		"expired":                      {`,"expires_in":12`, []string{"authorization_pending"}, []time.Duration{5 * s, 10 * s}, "the code has expired before it was used; log in again for a new one"},
		"expired while asked":          {`,"expires_in":12`, []string{"authorization_pending", "hang"}, []time.Duration{5 * s, 10 * s}, "the code has expired before it was used; log in again for a new one"},
		"refused":                      {"", []string{"unauthorized_client"}, []time.Duration{5 * s}, "the token endpoint answered HTTP 400 unauthorized_client"},
		"what is granted is of no use": {"", []string{`{"access_token":"x","token_type":"Bearer"}`}, []time.Duration{5 * s}, "the issuer gave an access token that no gateway takes: the token has no dots: it is opaque, no JWT (some issuers want --audience or --resource)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := &device{
					code:    `{"device_code":"secret-device-code","user_code":"AB-12","verification_uri":"https://login.test/d"` + test.code + `}`,
					answers: test.answers, begun: time.Now(),
				}
				got, err := deviceFlow(t.Context(), io.Discard, deviceClient(issuer), login{})
				switch {
				case test.err != "" && (err == nil || err.Error() != test.err):
					t.Errorf("got %v, want %s", err, test.err)
				case test.err == "" && (err != nil || got.AccessToken != jwt("1")):
					t.Error(err)
				}
				if !slices.Equal(issuer.asked, test.asked) {
					t.Errorf("asked at %v, want %v", issuer.asked, test.asked)
				}
			})
		})
	}
}

func deviceClient(issuer http.RoundTripper) *oauthClient {
	oauth := &oauthClient{issuer: "https://login.test", id: "c", transport: issuer}
	oauth.metadata.TokenEndpoint, oauth.metadata.DeviceAuthorizationEndpoint = "https://login.test/token", "https://login.test/device"
	return oauth
}

// Answers with which no person can be sent anywhere, and what is shown of the
// others.
func TestDeviceCodes(t *testing.T) {
	const codes = `"device_code":"d","user_code":"AB-12"`
	for code, want := range map[string]string{
		`{}`: "the device authorization endpoint gave no code",
		`{"device_code":"d","verification_uri":"https://login.test/d"}`: "the device authorization endpoint gave no code",
		`{` + codes + `}`: "the device authorization endpoint gave no address for a browser but ",
		`{` + codes + `,"verification_uri":"javascript:alert(1)"}`:                                  "the device authorization endpoint gave no address for a browser but javascript:alert(1)",
		`{` + codes + `,"verification_uri":"https://login.test/` + strings.Repeat("x", 9999) + `"}`: "QR code of https://login.test/",
		`not JSON`: "device authorization endpoint: unmarshal invalid character",
	} {
		issuer := &device{code: code}
		if _, err := deviceFlow(t.Context(), io.Discard, deviceClient(issuer), login{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80s: got %v", code, err)
		}
	}
	var shown bytes.Buffer
	issuer := &device{code: `{"device_code":"d","user_code":"A\u001b[2J","verification_uri":"https://login.test/d","verification_uri_complete":"data:,x","interval":1,"expires_in":90}`}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := writer(func(p []byte) (int, error) { cancel(); return shown.Write(p) })
	if _, err := deviceFlow(ctx, cancelled, deviceClient(issuer), login{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	drawn, err := qrCode("https://login.test/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n  https://login.test/d\n", "\n  A\\x1b[2J\n", drawn, " at most 1m30s;"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("no %q in %s", want, &shown)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// Ctrl-C ends the request for a code too, which x/oauth2 does not bind to a
// context.
func TestDeviceInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hangs := roundTrip(func(r *http.Request) (*http.Response, error) {
			time.AfterFunc(time.Second, cancel)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		begun := time.Now()
		if _, err := deviceFlow(ctx, io.Discard, deviceClient(hangs), login{}); !errors.Is(err, context.Canceled) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
