package config

import (
	"cmp"
	"fmt"
	"strings"
)

// Where names a key (issuers[0].jwks.timeout) as an error should: the flag or
// the variable that set it, or its line of the file and its path. A key that
// was not set is placed by the nearest one around it that was.
func (c *Config) Where(key string) string {
	for around := key; ; around = parent(around) {
		from, ok := c.origins[around]
		switch {
		case ok && from.isFile:
			return from.at + ": " + printable(key)
		case ok && around == key:
			return from.at
		case ok:
			return cmp.Or(flagFor(key), from.at)
		case around == "":
			return printable(key)
		}
	}
}

// origins says where each key was set that was, by its path. Lists and their
// elements are keys too, and "" is the file as a whole.
type origins map[string]origin

// origin is a line of the file (linegate.yaml:3), a variable or a flag.
type origin struct {
	at     string
	isFile bool
}

func (c *Config) isSet(key string) bool {
	_, ok := c.origins[key]
	return ok
}

// refuse is the one form of an error about a key.
func (c *Config) refuse(key, format string, args ...any) error {
	return fmt.Errorf("%s: %w", c.Where(key), fmt.Errorf(format, args...))
}

func parent(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}

func child(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func element(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
