package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// unimplemented lists the keys of the contract that this version has no code
// for, so that nobody relies on what is not there. A section stands for all
// below it, and [] for each element of a list. An entry goes when its key is
// real. (An address systemd:NAME is refused where addresses are checked.)
var unimplemented = []string{}

const notImplemented = "is not implemented in this version; leave it out"

// refuseUnimplemented refuses such a key when it is set, unless to a default
// that says what holds anyway: off.
func (c *Config) refuseUnimplemented() error {
	normal := reflect.ValueOf(Default()).Elem()
	for _, key := range slices.Sorted(maps.Keys(c.origins)) {
		if !isUnimplemented(key) {
			continue
		}
		v, _ := at(reflect.ValueOf(c).Elem(), key)
		if !strings.Contains(key, "[") {
			if d, _ := at(normal, key); fmt.Sprint(v) == fmt.Sprint(d) {
				continue
			}
		}
		return c.refuse(key, notImplemented)
	}
	return nil
}

func isUnimplemented(key string) bool {
	for key = anyIndex(key); key != ""; key = parent(key) {
		if slices.Contains(unimplemented, key) {
			return true
		}
	}
	return false
}

// anyIndex turns listen[3].name into listen[].name. No key has a digit in it.
func anyIndex(key string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, key)
}
