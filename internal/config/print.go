package config

import (
	"bytes"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// YAML returns the configuration in force as a file that would give it. A key
// that was set has a comment that says where. Keys that this version does not
// implement are left out; there are no secrets in a configuration.
func (c *Config) YAML() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(c.node("", reflect.ValueOf(c).Elem())); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}

// node is the reader's inverse.
func (c *Config) node(key string, v reflect.Value) *yaml.Node {
	switch v.Kind() {
	case reflect.Pointer:
		return c.node(key, v.Elem())
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		fields(v, func(name string, field reflect.Value, tag reflect.StructTag) {
			key := child(key, name)
			absent := field.Kind() == reflect.Pointer && field.IsNil()
			if _, ok := tag.Lookup("oneof"); ok {
				absent = field.IsZero()
			}
			if !absent {
				n.Content = append(n.Content, scalar(reflect.ValueOf(name)), c.node(key, field))
			}
		})
		return n
	case reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, LineComment: c.origins[key].at}
		for _, name := range slices.Sorted(maps.Keys(v.Interface().(map[string][]string))) {
			n.Content = append(n.Content, scalar(reflect.ValueOf(name)), list(v.MapIndex(reflect.ValueOf(name))))
		}
		return n
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String {
			n := list(v)
			n.LineComment = c.origins[key].at
			return n
		}
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n.Content = append(n.Content, c.node(element(key, i), v.Index(i)))
		}
		return n
	}
	n := scalar(v)
	n.LineComment = c.origins[key].at
	return n
}

// list is a list of strings, on one line.
func list(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for i := range v.Len() {
		n.Content = append(n.Content, scalar(v.Index(i)))
	}
	return n
}

func scalar(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: formatValue(v)}
	if v.Kind() == reflect.String {
		n.Tag = "!!str" // in quotes where it would read as another type
	}
	return n
}
