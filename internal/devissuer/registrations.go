package devissuer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxRegistrations bounds a file of registrations, in bytes.
const maxRegistrations = 1 << 20

// ReadRegistrations returns the clients and users of a JSON file, beside the
// default ones, for Config:
//
//	{
//	  "clients": [{
//	    "client_id": "app", "client_name": "An app", "client_secret": "s",
//	    "grant_types": ["authorization_code", "refresh_token"],
//	    "redirect_uris": ["http://127.0.0.1/callback"], "scope": "line:connect"
//	  }],
//	  "users": [{"sub": "eve", "name": "Eve"}]
//	}
//
// The names of a client's members are those of RFC 7591 section 2. An error
// names the file, and the line, client or user at fault.
func ReadRegistrations(path string) ([]Client, []User, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxRegistrations+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxRegistrations {
		return nil, nil, fmt.Errorf("%s: longer than 1 MiB", path)
	}
	clients, users, err := parseRegistrations(text)
	if err == nil {
		clients, users = append(DefaultClients(), clients...), append(DefaultUsers(), users...)
		err = checkRegistrations(clients, users)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return clients, users, nil
}

type registrations struct {
	Clients []struct {
		ID        string   `json:"client_id"`
		Name      string   `json:"client_name"`
		Secret    string   `json:"client_secret"`
		Grants    []string `json:"grant_types"`
		Redirects []string `json:"redirect_uris"`
		Scope     string   `json:"scope"` // words, spaces between them
	} `json:"clients"`
	Users []struct {
		Subject string `json:"sub"`
		Name    string `json:"name"`
	} `json:"users"`
}

func parseRegistrations(text []byte) (clients []Client, users []User, err error) {
	var parsed registrations
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&parsed); err != nil {
		return nil, nil, fmt.Errorf("line %d: %w", lineOf(text, err, decoder.InputOffset()), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("line %d: something follows the object", lineAt(text, decoder.InputOffset()))
	}
	for _, c := range parsed.Clients {
		clients = append(clients, Client{
			ID: c.ID, Name: c.Name, Secret: c.Secret, Grants: c.Grants,
			Scopes: strings.Fields(c.Scope), Redirects: c.Redirects,
		})
	}
	for _, u := range parsed.Users {
		users = append(users, User{ID: u.Subject, Name: u.Name})
	}
	return clients, users, nil
}

// lineOf returns the line that a decoding error is about: the error knows its
// place, or else the decoder has got no further than offset.
func lineOf(text []byte, err error, offset int64) int {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &mismatch):
		offset = mismatch.Offset
	}
	return lineAt(text, offset)
}

func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n"))
}
