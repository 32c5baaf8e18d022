package docstest

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/linegate/linegate/internal/config"
)

// The block with every key loads, has every key, and shows the defaults except
// where it says that a value is an example.
func TestConfigurationBlock(t *testing.T) {
	block := fences(t, page("operations.md"), "yaml")[0]
	t.Chdir(t.TempDir())
	writeCertificates(t)
	if err := os.WriteFile("linegate.yaml", []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := config.Load(config.Options{Path: "linegate.yaml"})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, warnings %v", err, warnings)
	}
	shown, defaults := flatten(t, []byte(block)), defaultValues(t)
	sameNames(t, "key", shown, defaults)
	for key, value := range shown {
		if !value.example && value.text != defaults[key].text {
			t.Errorf("%s: shown as %s, and its default is %s", key, value.text, defaults[key].text)
		}
		if value.example && value.text == defaults[key].text {
			t.Errorf("%s: %s is its default, not an example", key, value.text)
		}
	}
}

// The tables have every key, with its default and its bounds.
func TestConfigurationTables(t *testing.T) {
	doc := open(t, "operations.md")
	documented := doc.firsts(doc.rows("key", "default", "bounds", "what it does"))
	defaults := defaultValues(t)
	sameNames(t, "key", documented, defaults)
	known := map[string]reflect.StructTag{}
	keysOf("", reflect.TypeFor[config.Config](), "", known)
	for key, row := range documented {
		if d := defaults[key].text; d != "" && d != "{}" && d != "[]" && !slices.Contains(quoted(row[1]), d) {
			t.Errorf("%s: its default is %s, the document says %s", key, d, row[1])
		}
		tag := known[key]
		bounds := append(strings.Fields(tag.Get("oneof")), tag.Get("min"), tag.Get("max"))
		for _, bound := range bounds {
			if bound != "" && !slices.Contains(quoted(row[2]), bound) {
				t.Errorf("%s: bound %s is not in %q", key, bound, row[2])
			}
		}
	}
}

// Every key of the configuration is among those that check-config prints, and so
// has a row.
func TestEveryKeyIsPrinted(t *testing.T) {
	known := map[string]reflect.StructTag{}
	keysOf("", reflect.TypeFor[config.Config](), "", known)
	sameNames(t, "key", defaultValues(t), known)
}

// setting is a key's value as YAML has it.
type setting struct {
	text    string
	example bool // says its comment
}

// defaultValues returns the defaults of every key that this version has, as
// check-config prints them.
func defaultValues(t *testing.T) map[string]setting {
	t.Helper()
	c := config.Default()
	c.Listen = []config.Listener{{Address: "127.0.0.1:8885", TLS: &config.TLS{ClientAuth: "require"}, ProxyProtocol: &config.ProxyProtocol{}}}
	c.Issuers = []config.Issuer{config.NewIssuer()}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return flatten(t, text)
}

// flatten returns the single values of a YAML document by their keys, lists of
// sections as name[].
func flatten(t *testing.T, text []byte) map[string]setting {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	all := map[string]setting{}
	var walk func(key string, n *yaml.Node)
	walk = func(key string, n *yaml.Node) {
		switch {
		case n.Kind == yaml.MappingNode && len(n.Content) > 0:
			for i := 0; i < len(n.Content); i += 2 {
				walk(strings.TrimPrefix(key+"."+n.Content[i].Value, "."), n.Content[i+1])
			}
		case n.Kind == yaml.SequenceNode && len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode:
			for _, item := range n.Content {
				walk(key+"[]", item)
			}
		default:
			all[key] = setting{inline(n), n.LineComment == "# example"}
		}
	}
	walk("", doc.Content[0])
	return all
}

// inline is a single value, a list of such, or an empty mapping.
func inline(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "{}"
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			items = append(items, item.Value)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return n.Value
}

// keysOf collects the keys of a configuration type with their tags.
func keysOf(key string, typ reflect.Type, tag reflect.StructTag, all map[string]reflect.StructTag) {
	switch {
	case typ.Kind() == reflect.Pointer:
		keysOf(key, typ.Elem(), tag, all)
	case typ.Kind() == reflect.Struct:
		for i := range typ.NumField() {
			field := typ.Field(i)
			if name := field.Tag.Get("yaml"); name != "" {
				keysOf(strings.TrimPrefix(key+"."+name, "."), field.Type, field.Tag, all)
			}
		}
	case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
		keysOf(key+"[]", typ.Elem(), tag, all)
	default:
		all[key] = tag
	}
}

// writeCertificates writes the files that the block names, into the working
// directory.
func writeCertificates(t *testing.T) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	for name, content := range map[string][]byte{
		"tls.crt": certificate, "devices-ca.pem": certificate,
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
