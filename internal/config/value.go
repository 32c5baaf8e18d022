package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setValue gives the scalar field v the value that text spells, if it is one
// within the bounds that the field's tags set.
func setValue(v reflect.Value, tag reflect.StructTag, text string) error {
	parsed, err := parseValue(v.Type(), text)
	if err != nil {
		return err
	}
	if words, ok := tag.Lookup("oneof"); ok && !slices.Contains(strings.Fields(words), text) {
		return fmt.Errorf("want one of %s, got %.64q", strings.Join(strings.Fields(words), ", "), text)
	}
	if least, ok := tag.Lookup("min"); ok && compare(parsed, least) < 0 {
		return fmt.Errorf("want at least %s, got %.64q", least, text)
	}
	if most, ok := tag.Lookup("max"); ok && compare(parsed, most) > 0 {
		return fmt.Errorf("want at most %s, got %.64q", most, text)
	}
	v.Set(parsed)
	return nil
}

// The types of scalar keys that are not a basic kind.
var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

func parseValue(t reflect.Type, text string) (reflect.Value, error) {
	switch {
	case t == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return reflect.Value{}, fmt.Errorf("want a duration such as 30s, got %.64q", text)
		}
		return reflect.ValueOf(d), nil
	case t == sizeType:
		size, err := ParseSize(text)
		return reflect.ValueOf(size), err
	case t.Kind() == reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return reflect.Value{}, fmt.Errorf("want a whole number, got %.64q", text)
		}
		return reflect.ValueOf(int(n)), nil
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return reflect.Value{}, fmt.Errorf("want true or false, got %.64q", text)
		}
		return reflect.ValueOf(text == "true"), nil
	case t.Kind() == reflect.String:
		return reflect.ValueOf(text), nil
	}
	return reflect.Value{}, errors.New("this key takes no single value")
}

// compare orders v against a bound in its tag.
func compare(v reflect.Value, bound string) int {
	b, err := parseValue(v.Type(), bound)
	if err != nil {
		panic("config: bad bound in a tag: " + err.Error())
	}
	return cmp.Compare(v.Int(), b.Int())
}

// formatValue is parseValue's inverse.
func formatValue(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return formatDuration(d)
	}
	return fmt.Sprint(v.Interface())
}

// formatDuration writes 24h and 5m, where Duration.String has 24h0m0s and 5m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
