package config

import (
	"fmt"
	"reflect"
)

// flags are the flags of the command line that set a key. Those of a list set
// one element, for use without a file.
var flags = []struct{ name, key, list string }{
	{"listen", "listen[0].address", "listen"},
	{"tls-cert", "listen[0].tls.cert", "listen"},
	{"tls-key", "listen[0].tls.key", "listen"},
	{"issuer", "issuers[0].issuer", "issuers"},
	{"jwks-uri", "issuers[0].jwks_uri", "issuers"},
	{"audience", "issuers[0].audience", "issuers"},
	{"scope", "issuers[0].required_scopes", "issuers"},
	{"token-type", "issuers[0].token_types", "issuers"},
	{"ops", "ops.address", ""},
	{"backend", "backend.kind", ""},
	{"log-level", "log.level", ""},
	{"log-format", "log.format", ""},
}

// readFlags sets what the command line gave: values by the name of the flag,
// several for one that takes a list.
func (c *Config) readFlags(given map[string][]string) error {
	for _, f := range flags {
		values, ok := given[f.name]
		if !ok {
			continue
		}
		if f.list != "" {
			if file := c.origins[f.list]; file.isFile {
				return fmt.Errorf("--%s: not beside the list in %s: %s; change that instead", f.name, file.at, f.list)
			}
			if !c.isSet(f.list) {
				listed, _ := at(reflect.ValueOf(c).Elem(), f.list)
				listed.SetZero()
				c.origins[f.list] = origin{at: "--" + f.name}
			}
		}
		c.origins[f.key] = origin{at: "--" + f.name}
		v, tag := at(reflect.ValueOf(c).Elem(), f.key)
		if v.Kind() == reflect.Slice {
			v.Set(reflect.ValueOf(values))
			continue
		}
		for _, text := range values {
			if err := setValue(v, tag, text); err != nil {
				return c.refuse(f.key, "%w", err)
			}
		}
	}
	return nil
}

// flagFor returns the flag that sets a key, or nothing.
func flagFor(key string) string {
	for _, f := range flags {
		if f.key == key {
			return "--" + f.name
		}
	}
	return ""
}
