package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// fields calls do with each key of the struct v, in order.
func fields(v reflect.Value, do func(name string, field reflect.Value, tag reflect.StructTag)) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if name := tag.Get("yaml"); name != "" {
			do(name, v.Field(i), tag)
		}
	}
}

// fieldOf returns the field of the struct v that is called name.
func fieldOf(v reflect.Value, name string) (found reflect.Value, tag reflect.StructTag, ok bool) {
	fields(v, func(n string, f reflect.Value, t reflect.StructTag) {
		if n == name {
			found, tag, ok = f, t, true
		}
	})
	return found, tag, ok
}

// at returns the field at a path such as listen[0].tls.cert below the struct
// v. It makes the elements and sections on the way there. The path exists.
func at(v reflect.Value, key string) (reflect.Value, reflect.StructTag) {
	var tag reflect.StructTag
	for name := range strings.SplitSeq(key, ".") {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		name, index, isElement := strings.Cut(strings.TrimSuffix(name, "]"), "[")
		v, tag, _ = fieldOf(v, name)
		if !isElement {
			continue
		}
		i, _ := strconv.Atoi(index)
		for v.Len() <= i {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			setDefaults(v.Index(v.Len() - 1))
		}
		v = v.Index(i)
	}
	return v, tag
}

// setDefaults gives a new element of a list its defaults.
func setDefaults(v reflect.Value) {
	if issuer, ok := v.Addr().Interface().(*Issuer); ok {
		*issuer = NewIssuer()
	}
}

// suggestion names the key of v that an unknown one is most likely a slip of.
func suggestion(v reflect.Value, unknown string) string {
	best, least := "", 3 // more than two slips are another word
	fields(v, func(name string, _ reflect.Value, _ reflect.StructTag) {
		if d := distance(unknown, name); d < least && d < len(name) {
			best, least = name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance counts the bytes to insert, delete or replace to make b of a
// (Levenshtein). Long words are far from everything.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
