package config

import (
	"fmt"
	"os"
	"reflect"
	"testing"
)

// readContract reads testdata/contract.yaml, in which every key is set.
func readContract(t *testing.T) *Config {
	t.Helper()
	text, err := os.ReadFile("testdata/contract.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{origins: origins{}}
	if err := c.parse("contract.yaml", text); err != nil {
		t.Fatal(err)
	}
	return c
}

// Every key of the contract is known, or reading it would have failed; and
// there is none that the contract lacks.
func TestEveryKeyIsInTheContract(t *testing.T) {
	c := readContract(t)
	var walk func(key string, v reflect.Value)
	walk = func(key string, v reflect.Value) {
		if key != "" && !c.isSet(key) {
			t.Errorf("%s is not in the contract", key)
		}
		switch v.Kind() {
		case reflect.Pointer:
			walk(key, v.Elem())
		case reflect.Struct:
			fields(v, func(name string, field reflect.Value, _ reflect.StructTag) {
				walk(child(key, name), field)
			})
		case reflect.Slice:
			for i := range v.Len() {
				walk(element(key, i), v.Index(i))
			}
		}
	}
	walk("", reflect.ValueOf(c).Elem())
}

// The contract shows the defaults. Only its lists have examples in them.
func TestDefaultsAreTheContracts(t *testing.T) {
	contract, defaults := readContract(t), Default()
	defaults.Listen = contract.Listen
	issuer := NewIssuer()
	issuer.Name, issuer.Issuer = "main", "https://login.example.com"
	issuer.Audience, issuer.RequiredScopes = []string{"linegate"}, []string{"line:connect"}
	defaults.Issuers = []Issuer{issuer}
	// As text, in which an empty list is an empty list.
	fields(reflect.ValueOf(contract).Elem(), func(name string, section reflect.Value, _ reflect.StructTag) {
		want, _ := at(reflect.ValueOf(defaults).Elem(), name)
		if got, want := fmt.Sprintf("%+v", section), fmt.Sprintf("%+v", want); got != want {
			t.Errorf("%s\ncontract %s\ndefault  %s", name, got, want)
		}
	})
}

// A bound that does not parse would panic in service; each is met here.
func TestBoundsParse(t *testing.T) {
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		fields(v, func(name string, field reflect.Value, tag reflect.StructTag) {
			for _, bound := range []string{tag.Get("min"), tag.Get("max")} {
				if bound == "" {
					continue
				}
				if _, err := parseValue(field.Type(), bound); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			switch {
			case field.Kind() == reflect.Struct:
				walk(field)
			case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
				walk(field.Index(0))
			}
		})
	}
	walk(reflect.ValueOf(readContract(t)).Elem())
}
