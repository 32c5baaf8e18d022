package devissuer

import (
	"cmp"
	"errors"
	"strings"
)

// User is a person who can sign in, by a click on the name: nothing here is
// worth a password.
type User struct {
	ID   string // sub of the tokens
	Name string // what people are shown; the ID when empty
}

// DefaultUsers returns the people who are there without configuration.
func DefaultUsers() []User {
	return []User{{ID: "alice", Name: "Alice"}, {ID: "bob", Name: "Bob"}}
}

// DisplayName is what people are shown.
func (u User) DisplayName() string { return cmp.Or(u.Name, u.ID) }

func (u User) check() error {
	switch {
	case u.ID == "":
		return errors.New("no ID")
	case strings.ContainsFunc(u.ID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the ID has other characters than visible ASCII")
	}
	return nil
}
