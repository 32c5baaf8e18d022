package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxBody is more than all members together can need.
const maxBody = 64 << 10

// body reads a request's JSON object. Its members are strings, but for those
// among marks, which are true. Every member must be among known or marks, to the
// letter, and be there once: encoding/json by itself would take Subject for
// subject, and the last of two.
func body(r *http.Request, known, marks []string) (map[string]string, error) {
	text, err := io.ReadAll(r.Body) // bounded by ServeHTTP
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &problem{
			status: http.StatusRequestEntityTooLarge, code: "invalid_request",
			text: fmt.Sprintf("the body has more than %d bytes", maxBody),
		}
	}
	if err != nil {
		return nil, invalidRequest("the body did not arrive")
	}
	if !utf8.Valid(text) || !json.Valid(text) || !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return nil, invalidRequest("the body is not one JSON object in UTF-8")
	}
	// Valid as a whole, so only what it says can be wrong from here on.
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	members := map[string]string{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		mark := slices.Contains(marks, name)
		if !mark && !slices.Contains(known, name) {
			return nil, invalidRequest(fmt.Sprintf("%.64q: no such member", name))
		}
		if _, twice := members[name]; twice {
			return nil, invalidRequest(name + ": there twice")
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		text, ok := value.(string)
		switch {
		case mark && value != true:
			return nil, invalidRequest(name + ": want true, or leave it out")
		case mark:
			text = "true"
		case !ok:
			return nil, invalidRequest(name + ": want a string")
		case text == "":
			return nil, invalidRequest(name + ": is empty; leave it out")
		case looksLikeToken(text):
			return nil, invalidRequest(name + ": has a token in it, which belongs in no record; want a name of it")
		}
		members[name] = text
	}
	return members, nil
}

// looksLikeToken reports whether there is a JWT in s, by its header: what members
// say is logged, listed and stored.
func looksLikeToken(s string) bool {
	i := strings.Index(s, "eyJ") // {" in base64url
	if i < 0 {
		return false
	}
	header, _, found := strings.Cut(s[i:], ".")
	doc, err := base64.RawURLEncoding.DecodeString(header)
	return found && err == nil && json.Valid(doc)
}
