package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// FileVariable is the environment variable that names the configuration file.
const FileVariable = "LINEGATE_CONFIG"

const variablePrefix = "LINEGATE_"

// variables returns the variables of environ (KEY=value, as os.Environ has
// them) that are linegate's. An empty one counts as unset: that is what
// templates make of a value that is not there.
func variables(environ []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) && value != "" {
			vars[name] = value
		}
	}
	return vars
}

// readEnvironment sets what vars holds, and warns of those that are no key:
// others, Kubernetes among them, use the prefix too.
func (c *Config) readEnvironment(vars map[string]string) ([]Warning, error) {
	var failed error
	known := map[string]bool{FileVariable: true}
	scalars("", reflect.ValueOf(c).Elem(), func(key string, v reflect.Value, tag reflect.StructTag) {
		name := variableFor(key)
		known[name] = true
		text, ok := vars[name]
		if !ok || failed != nil {
			return
		}
		c.origins[key] = origin{at: name}
		if err := setValue(v, tag, text); err != nil {
			failed = c.refuse(key, "%w", err)
		}
	})
	var warnings []Warning
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !known[name] {
			warnings = append(warnings, Warning(printable(name)+": no key has this variable; ignored (lists are set by file or flags)"))
		}
	}
	return warnings, failed
}

// variableFor returns the variable that sets a key: session.idle_timeout is
// LINEGATE_SESSION_IDLE_TIMEOUT.
func variableFor(key string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// scalars calls do with each scalar key of the struct v outside lists.
func scalars(key string, v reflect.Value, do func(string, reflect.Value, reflect.StructTag)) {
	fields(v, func(name string, field reflect.Value, tag reflect.StructTag) {
		switch field.Kind() {
		case reflect.Struct:
			scalars(child(key, name), field, do)
		case reflect.Slice:
		default:
			do(child(key, name), field, tag)
		}
	})
}
