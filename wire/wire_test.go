package wire

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		line  string
		kind  Kind
		token string
	}{
		{"AUTH a.b.c", Auth, "a.b.c"},
		{"AUTH -_09azAZ.", Auth, "-_09azAZ."},
		{"AUTH", MalformedAuth, ""},
		{"AUTH ", MalformedAuth, ""},
		{"AUTH  a.b.c", MalformedAuth, ""},
		{"AUTH\ta.b.c", MalformedAuth, ""},
		{"AUTH a.b.c ", MalformedAuth, ""},
		{"AUTH a.b.c\r", MalformedAuth, ""},
		{"AUTH a.b.c x=y", MalformedAuth, ""},
		{"AUTH a.b=.c", MalformedAuth, ""},
		{"AUTH a+b/c", MalformedAuth, ""},
		{"AUTH a\x00b", MalformedAuth, ""},
		{"AUTH ä", MalformedAuth, ""},
		{"AUTHOR x", Message, ""},
		{"AUTH\x0bx", Message, ""},
		{" AUTH a.b.c", Message, ""},
		{"auth a.b.c", Message, ""},
		{"AUT", Message, ""},
		{"ping", Ping, ""},
		{" \t\v\f\rping\n\r ", Ping, ""},
		{"PING", Message, ""},
		{"ping ping", Message, ""},
		{"\u00a0ping", Message, ""},
		{"", Message, ""},
		{"pong", Message, ""},
	} {
		kind, token := Request([]byte(tt.line))
		if kind != tt.kind || string(token) != tt.token {
			t.Errorf("%q: kind %d, token %q; want %d, %q", tt.line, kind, token, tt.kind, tt.token)
		}
	}
}

// TestAuthFault: what is wrong is said, and nothing of the line.
func TestAuthFault(t *testing.T) {
	for line, want := range map[string]string{
		"AUTH":           "AUTH without a token",
		"AUTH ":          "AUTH without a token",
		"AUTH \t":        "AUTH without a token",
		"AUTH  a.b.c":    "want one space between AUTH and the token",
		"AUTH\ta.b.c":    "want one space between AUTH and the token",
		"AUTH foo bar":   "white space in or behind the token",
		"AUTH a.b.c ":    "white space in or behind the token",
		"AUTH a.b.c\r":   "white space in or behind the token",
		"AUTH a.b.c=":    "a byte in the token that no compact JWS has",
		"AUTH \"a.b.c\"": "a byte in the token that no compact JWS has",
		"AUTH \x00":      "a byte in the token that no compact JWS has",
	} {
		if kind, _ := Request([]byte(line)); kind != MalformedAuth {
			t.Errorf("%q is of kind %d", line, kind)
		}
		if got := AuthFault([]byte(line)); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

// TestCodes: every code has a word of its own, an action, and a place.
func TestCodes(t *testing.T) {
	words := map[string]bool{}
	for c := Code(1); c < codeCount; c++ {
		if words[c.String()] || c.String() == "" {
			t.Errorf("code %d: the word %q", c, c)
		}
		words[c.String()] = true
		if codes[c].place == 0 {
			t.Errorf("%s stands nowhere", c)
		}
		if c.InBye() && codes[c].text == "" {
			t.Errorf("%s says nothing to a person", c)
		}
	}
	if len(EndReasons()) != int(codeCount)-1-3 {
		t.Errorf("%d reasons to end, and three codes are for ERR alone", len(EndReasons()))
	}
	if Code(0).String() != "unknown" || codeCount.String() != "unknown" {
		t.Error("what is no code has a word")
	}
}

func TestActions(t *testing.T) {
	for _, a := range []Action{Retry, Reauth, Fix, None} {
		if ParseAction(a.String()) != a {
			t.Errorf("%s is read as %s", a, ParseAction(a.String()))
		}
	}
	for _, word := range []string{"", "RETRY", "explode"} {
		if ParseAction(word) != Retry {
			t.Errorf("%q is read as %s", word, ParseAction(word))
		}
	}
}

// TestLongestControlLine: whatever a token names, a client's buffer for control
// lines is large enough.
func TestLongestControlLine(t *testing.T) {
	lines := [][]byte{
		AppendOK(nil, OK{
			Subject: strings.Repeat("\xff", 256), Session: strings.Repeat("S", 32),
			ExpiresIn: math.MaxInt64, ReauthIn: math.MaxInt64, IdleTimeout: math.MaxInt64, MaxLine: math.MaxInt,
		}),
		AppendNoticeReauth(nil, math.MaxInt64),
		AppendNoticeDraining(nil, math.MaxInt64),
	}
	for c := Code(1); c < codeCount; c++ {
		lines = append(lines, AppendBye(nil, c, math.MaxInt64), AppendErr(nil, c, ForMessage, math.MaxInt64))
	}
	for _, line := range lines {
		if len(line) > MaxControlLine {
			t.Errorf("%d bytes: %.60s...", len(line), line)
		}
		if strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' {
			t.Errorf("not one line: %q", line)
		}
	}
}

func TestAppendData(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string
	}{
		{"Hello World!", "from server: Hello World!\n"},
		{"", "from server: \n"},
		{"\x00\xff", "from server: \x00\xff\n"},
		{"exactly 16 bytes", "from server: exactly 16 bytes\n"},
		{"seventeen bytes :", ""},
		{"a\nb", ""},
		{"a\rb", ""},
	} {
		got, err := AppendData([]byte{}, []byte(tt.text), 16)
		if string(got) != tt.want || errors.Is(err, ErrText) != (tt.want == "") {
			t.Errorf("%q: %q, %v", tt.text, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		line    string
		verb    Verb
		word    string
		text    string
		key     string
		value   string
		action  Action
		seconds time.Duration // of retry_after
	}{
		{line: "OK AUTH v=1 sub=a%20b%0A session=S", verb: OKAuth, word: "AUTH", key: "sub", value: "a b\n"},
		{line: "OK AUTH", verb: OKAuth, word: "AUTH"},
		{line: "OK LATER x=1"},
		{line: "pong", verb: Pong},
		{line: "pong "},
		{line: "from server: BYE draining", verb: Data, text: "BYE draining"},
		{line: "from server: ", verb: Data},
		{line: "from server:x"},
		{line: "NOTICE reauth expires_in=30", verb: Notice, word: "reauth", key: "expires_in", value: "30"},
		{line: "NOTICE news from=tomorrow", verb: Notice, word: "news", key: "from", value: "tomorrow"},
		{line: "ERR rate_limited for=auth action=retry retry_after=1", verb: Err, word: "rate_limited", key: "for", value: "auth", seconds: time.Second},
		{line: "ERR novel for=message action=fix", verb: Err, word: "novel", action: Fix},
		{line: "BYE draining action=retry retry_after=4 :going : away", verb: Bye, word: "draining", text: "going : away", seconds: 4 * time.Second},
		{line: "BYE replaced action=none :x=1", verb: Bye, word: "replaced", text: "x=1", action: None},
		{line: "BYE novel :said only", verb: Bye, word: "novel", text: "said only"},
		{line: "BYE novel", verb: Bye, word: "novel"},
		{line: "BYE", verb: Bye},
		{line: "BYE x action=later retry_after=-1 :", verb: Bye, word: "x"},
		{line: "BYE x retry_after=99999999999999999999 :", verb: Bye, word: "x", seconds: maxWait},
		{line: "BYE x retry_after=9999999999 :", verb: Bye, word: "x", seconds: maxWait},
		{line: "HELLO"},
		{line: ""},
	} {
		r := Parse([]byte(tt.line))
		value, found := r.Value(tt.key)
		if r.Verb != tt.verb || r.Word != tt.word || string(r.Text) != tt.text ||
			r.Action() != tt.action || r.Seconds("retry_after") != tt.seconds ||
			value != tt.value || found != (tt.key != "") {
			t.Errorf("%q: %+v, action %s, retry_after %v, %s=%q", tt.line, r, r.Action(), r.Seconds("retry_after"), tt.key, value)
		}
	}
}

// FuzzValue: whatever a value holds, it comes back, and forges nothing.
func FuzzValue(f *testing.F) {
	f.Add("alice", "b")
	f.Add("a b\nBYE draining%", "%41%")
	f.Fuzz(func(t *testing.T, subject, session string) {
		line := AppendOK(nil, OK{Subject: subject, Session: session, ExpiresIn: 5})
		if strings.Count(string(line), "\n") != 1 {
			t.Fatalf("not one line: %q", line)
		}
		r := Parse(line[:len(line)-1])
		gotSubject, _ := r.Value("sub")
		gotSession, _ := r.Value("session")
		if gotSubject != subject || gotSession != session || r.Seconds("expires_in") != 5*time.Second {
			t.Fatalf("%q came back as %q, %q", line, gotSubject, gotSession)
		}
	})
}

// FuzzParse: a client survives whatever a gateway says.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"OK AUTH v=1", "BYE x action=fix retry_after=1 :y", "from server: x", "ERR %=% %"} {
		f.Add([]byte(line), "action")
	}
	f.Fuzz(func(t *testing.T, line []byte, key string) {
		r := Parse(line)
		r.Value(key)
		if d := r.Seconds(key); d < 0 {
			t.Fatalf("%s of %q is %v", key, line, d)
		}
		if r.Verb == Unknown && (len(r.Text) > 0 || r.Word != "") {
			t.Fatalf("%q: unknown, with content", line)
		}
	})
}
