package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// adminClient speaks to a gateway's admin API.
type adminClient struct {
	base     *url.URL
	operator operator
	cert     certFlags
	http     *http.Client
}

const (
	adminTimeout = 30 * time.Second // for one exchange
	pageSize     = 500              // items asked for at once
	maxAnswer    = 64 << 20         // bytes of an answer: more than any page of that size has
)

// list calls each with every item of a list in turn, at most limit of them; 0
// is all. A page is handed on before the next one is asked for.
func (a *adminClient) list(ctx context.Context, path string, filter url.Values, limit int, each func(page []json.RawMessage) error) error {
	query := url.Values{}
	for name, values := range filter {
		query[name] = values
	}
	for seen := 0; limit == 0 || seen < limit; {
		size := pageSize
		if limit != 0 {
			size = min(size, limit-seen)
		}
		query.Set("limit", strconv.Itoa(size))
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  *string           `json:"next"`
		}
		if err := a.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		if err := each(page.Items); err != nil || page.Next == nil {
			return err
		}
		if *page.Next == query.Get("after") {
			return errors.New("the admin API gives the same page over and over")
		}
		query.Set("after", *page.Next)
		seen += len(page.Items)
	}
	return nil
}

// call makes one request, whose body is content, and reads the answer's into
// answer, unless they are nil. What the API refuses is an *adminRefusal. A login
// whose token is refused may still have a good one to get.
func (a *adminClient) call(ctx context.Context, method, path string, content, answer any) error {
	token, err := a.operator.Token(ctx, false)
	if err != nil {
		return interrupted(ctx, fmt.Errorf("no token: %w", err))
	}
	err = a.callWith(ctx, token, method, path, content, answer)
	if a.operator.login != nil && answeredWith(err, http.StatusUnauthorized) {
		if token, freshErr := a.operator.Token(ctx, true); freshErr == nil {
			err = a.callWith(ctx, token, method, path, content, answer)
		}
	}
	return interrupted(ctx, err)
}

func (a *adminClient) callWith(ctx context.Context, token, method, path string, content, answer any) error {
	var body io.Reader = http.NoBody
	if content != nil {
		encoded, err := json.Marshal(content)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.base.String(), "/")+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return a.unreachable(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("admin API at %s: %w", a.base.Host, err)
	case resp.StatusCode/100 != 2:
		return a.refused(resp, text, token)
	case answer == nil:
		return nil
	}
	if json.Unmarshal(text, answer) != nil {
		return fmt.Errorf("%s answered with something that is not JSON: is that the admin API?", a.base.Host)
	}
	return nil
}

// unreachable says what an exchange that did not happen may be due to.
func (a *adminClient) unreachable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // its text repeats the whole address
	}
	wanted := a.cert.wanted("the admin API at "+a.base.Host, err)
	switch {
	case wanted != "":
		return errors.New(wanted)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s (connection refused): the gateway is down, or its configuration does not turn the admin API on there (admin.address)", a.base.Host)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s speaks HTTP without TLS: give --admin-url http://%s", a.base.Host, a.base.Host)
	case a.base.Scheme == "http" && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)):
		return fmt.Errorf("admin API at %s: %w%s", a.base.Host, err, a.perhapsTLS())
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		err = alert // TLS, without where in net/http it came up
	}
	return fmt.Errorf("admin API at %s: %w", a.base.Host, err)
}

// perhapsTLS is the hint for what plain HTTP gets to see of a TLS port.
func (a *adminClient) perhapsTLS() string {
	return fmt.Sprintf(" (if it has TLS there: --admin-url https://%s)", a.base.Host)
}

// adminRefusal is an answer that is none of success.
type adminRefusal struct {
	status int
	text   string
}

func (r *adminRefusal) Error() string { return r.text }

// answeredWith reports whether that is the status of a refusal.
func answeredWith(err error, status int) bool {
	refusal, ok := errors.AsType[*adminRefusal](err)
	return ok && refusal.status == status
}

// refused puts an answer into one line that says what to do (RFC 6750 section
// 3.1). It quotes nothing of the token.
func (a *adminClient) refused(resp *http.Response, body []byte, token string) error {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		hint := ""
		if a.base.Scheme == "http" && resp.StatusCode == http.StatusBadRequest {
			hint = a.perhapsTLS()
		}
		return fmt.Errorf("%s answered HTTP %d and no JSON: is that the admin API?%s", a.base.Host, resp.StatusCode, hint)
	}
	reason := brief(redacted(said.Error, []string{token}), true)
	if said.Description != "" {
		reason += ": " + brief(redacted(said.Description, []string{token}), true)
	}
	var text string
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		text = fmt.Sprintf("the admin API refused the token (%s); %s", reason, a.operator.advice(adminScope))
	case http.StatusForbidden:
		scope := missingScope(resp.Header.Get("WWW-Authenticate"))
		text = fmt.Sprintf("the token lacks the scope %s (%s); %s", brief(scope, true), reason, a.operator.advice(scope))
	case http.StatusServiceUnavailable:
		text = fmt.Sprintf("the admin API cannot answer now (%s); try again", reason)
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			text += fmt.Sprintf(" in %d s", seconds)
		}
	default:
		text = fmt.Sprintf("the admin API answered HTTP %d %s", resp.StatusCode, reason)
	}
	return &adminRefusal{resp.StatusCode, text}
}

// missingScope reads the scope of a challenge (RFC 6750 section 3).
func missingScope(challenge string) string {
	scope := regexp.MustCompile(`\bscope="([^"]*)"`).FindStringSubmatch(challenge)
	if scope == nil {
		return adminScope
	}
	return scope[1]
}
