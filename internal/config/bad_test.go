package config

import (
	"slices"
	"strings"
	"testing"
)

// A file with one thing wrong gives one line. In each, ISSUER stands for the
// three required keys of an issuer; the file's name and a colon are left out
// of the wanted line.
func TestBadFiles(t *testing.T) {
	const issuer = "issuer: https://a.example, audience: [x], required_scopes: [y]"
	for _, test := range []struct{ name, file, want string }{
		// What is not the YAML that is wanted.
		{"empty", "", " issuers: none is configured; give --issuer, --audience and --scope, or a file with issuers (--config)"},
		{"comments only", "# later\n", " issuers: none is configured; give --issuer, --audience and --scope, or a file with issuers (--config)"},
		{"tab", "log:\n\tlevel: info\n", "2: found character that cannot start any token (a tab?)"},
		{"unclosed list", "log:\n  level: info\nadmin:\n  issuers: [a\n  scopes: [b]\n", "4: did not find expected ',' or ']'"},
		{"stray brace, named by the mapping that it is in", "log:\n  level: info\n  }\n", "2: did not find expected key"},
		{"two values on the first line", "log: level: info\n", "1: mapping values are not allowed in this context"},
		{"open quote", "log:\n  level: \"info\n", "2: found unexpected end of stream"},
		{"NUL", "log:\n  level: \x00\n", "2: is not UTF-8 text"},
		{"Latin-1", "# gr\xfc\xdfe\n", "1: is not UTF-8 text"},
		{"list as root", "- listen\n", "1: want a mapping of keys to values, got a list"},
		{"text as root", "hello\n", `1: want a mapping of keys to values, got "hello"`},
		{"two documents", "log: {level: info}\n---\nlog: {level: warn}\n", "2: a second document; want one"},
		{"anchor", "log: &l {level: info}\n", "1: log: anchors and aliases are not supported"},
		{"alias", "log: *l\n", "1: unknown anchor 'l' referenced"},
		{"merge", "log:\n  <<: {level: info}\n", "2: log: anchors, aliases and merge keys are not supported"},
		{"tag", "log:\n  level: !!str info\n", "2: log.level: tags are not supported"},
		{"number as key", "1: 2\n", "1: want a name as key, got the number 1"},
		{"list as key", "? [a]\n: b\n", "1: want a name as key, got a list"},

		// Keys.
		{"unknown key", "log:\n  colour: red\n", "2: log.colour: no such key"},
		{"typing error", "session:\n  idle_timout: 30s\n", "2: session.idle_timout: no such key; did you mean idle_timeout?"},
		{"typing error in a list", "issuers:\n  - {ISSUER}\n  - isuer: x\n", "3: issuers[1].isuer: no such key; did you mean issuer?"},
		{"wrong case", "Log: {}\n", "1: Log: no such key; did you mean log?"},
		{"key with a space", "\" log\": {}\n", `1: " log": no such key; did you mean log?`},
		{"forged line", "\"a\\nb\": 1\n", `1: "a\nb": no such key`},
		{"key twice", "log:\n  level: info\n  level: warn\n", "3: log.level: is set twice, first on line 2"},
		{"section twice", "log: {}\nops: {}\nlog: {}\n", "3: log: is set twice, first on line 1"},
		{"no value", "session:\nlog: {}\n", "1: session: has no value; leave the key out for its default"},

		// Types.
		{"list for a section", "log: [info]\n", "1: log: want a mapping of keys to values, got a list"},
		{"section for a list", "listen:\n  address: 127.0.0.1:1\n", "1: listen: want a list, got a mapping"},
		{"text for a list", "issuers:\n  - audience: x\n", `2: issuers[0].audience: want a list, got "x"`},
		{"list for text", "log:\n  level:\n    - info\n", "2: log.level: want a single value, got a list"},
		{"number for text", "state_dir: 7\n", "1: state_dir: want a string, got the number 7; put it in quotes"},
		{"date for text", "log: {level: 2026-01-01}\n", "1: log.level: want a string, got the date 2026-01-01; put it in quotes"},
		{"boolean in a list", "issuers:\n  - audience:\n      - x\n      - true\n", "4: issuers[0].audience[1]: want a string, got true; put it in quotes"},
		{"yes", "ops: {pprof: yes}\n", `1: ops.pprof: want true or false, got "yes"`},
		{"text for a number", "limits: {connections: '5'}\n", `1: limits.connections: want a whole number, got "5"`},
		{"fraction", "limits: {connections: 1.5}\n", "1: limits.connections: want a whole number, got the number 1.5"},
		{"number too large", "limits: {connections: 9999999999}\n", `1: limits.connections: want a whole number, got "9999999999"`},
		{"duration without unit", "drain:\n  timeout: 25\n", `2: drain.timeout: want a duration such as 30s, got "25"`},
		{"size in thousands", "session: {max_line: 8KB}\n", `1: session.max_line: want a size such as 8KiB, or a number of bytes, got "8KB"`},
		{"negative size", "session: {max_line: -1}\n", `1: session.max_line: want a size such as 8KiB, or a number of bytes, got "-1"`},
		{"size too large", "session: {max_line: 3GiB}\n", `1: session.max_line: want a size such as 8KiB, or a number of bytes, got "3GiB"`},

		// Bounds.
		{"zero idle", "session: {idle_timeout: 0s}\n", `1: session.idle_timeout: want at least 1ms, got "0s"`},
		{"negative drain", "drain: {delay: -1s}\n", `1: drain.delay: want at least 0s, got "-1s"`},
		{"leeway", "issuers: [{leeway: 2m}]\n", `1: issuers[0].leeway: want at most 60s, got "2m"`},
		{"tiny line", "session: {max_line: 8}\n", `1: session.max_line: want at least 16, got "8"`},
		{"huge AUTH", "session: {max_auth_line: 2MiB}\n", `1: session.max_auth_line: want at most 1MiB, got "2MiB"`},
		{"level", "log: {level: loud}\n", `1: log.level: want one of debug, info, warn, error, got "loud"`},
		{"format", "log: {format: xml}\n", `1: log.format: want one of json, text, got "xml"`},
		{"backend", "backend: {kind: nats}\n", `1: backend.kind: want one of echo, got "nats"`},
		{"audience claim", "issuers: [{audience_claim: sub}]\n", `1: issuers[0].audience_claim: want one of aud, client_id, azp, got "sub"`},
		{"outbound below line", "issuers: [{ISSUER}]\nsession:\n  max_line: 8KiB\n  max_outbound: 8KiB\n", "4: session.max_outbound: want at least 1KiB more than session.max_line, which is 8KiB, got 8KiB"},
		{"line above default outbound", "issuers: [{ISSUER}]\nsession:\n  max_line: 256KiB\n", "2: session.max_outbound: want at least 1KiB more than session.max_line, which is 256KiB, got 256KiB"},
		{"unauthenticated", "issuers: [{ISSUER}]\nlimits: {connections: 5, unauthenticated: 6}\n", "2: limits.unauthenticated: want at most limits.connections, which is 5, got 6"},

		// Listeners.
		{"no listener", "listen: []\n", "1: listen: at least one listener is needed"},
		{"not host:port", "listen:\n  - address: localhost\n", `2: listen[0].address: want host:port, got "localhost"`},
		{"empty address", "listen:\n  - address: ''\n", `2: listen[0].address: want host:port, got ""`},
		{"URL", "listen:\n  - address: tcp://127.0.0.1:8885\n", `2: listen[0].address: want host:port, got "tcp://127.0.0.1:8885"`},
		{"port by name", "listen:\n  - address: 127.0.0.1:https\n", `2: listen[0].address: want a port from 0 to 65535, got "127.0.0.1:https"`},
		{"port too large", "listen:\n  - address: 127.0.0.1:65536\n", `2: listen[0].address: want a port from 0 to 65535, got "127.0.0.1:65536"`},
		{"plain on all", "listen:\n  - address: 0.0.0.0:8885\n", "2: listen[0].address: plain TCP off loopback would show tokens to the network: configure tls (--tls-cert, --tls-key), or set insecure_plaintext: true in a file"},
		{"plain on a name", "listen:\n  - address: gw.example:8885\n", "2: listen[0].address: plain TCP off loopback would show tokens to the network: configure tls (--tls-cert, --tls-key), or set insecure_plaintext: true in a file"},
		{"one name for two", "listen:\n  - {name: a, address: '127.0.0.1:1'}\n  - {name: a, address: '127.0.0.1:2'}\n", `3: listen[1].name: "a" is taken by listen[0].name`},
		{"one address for two", "listen:\n  - {name: a, address: '127.0.0.1:1'}\n  - {name: b, address: '127.0.0.1:1'}\n", `3: listen[1].address: "127.0.0.1:1" is taken by listen[0].address`},
		{"the address of ops", "listen:\n  - address: 127.0.0.1:9885\n", ` ops.address: "127.0.0.1:9885" is taken by listen[0].address`},
		{"name with a space", "listen:\n  - name: my devices\n", `2: listen[0].name: want 1 to 64 letters, digits and marks without spaces or quotes, got "my devices"; set name`},
		{"TLS without a key", "listen:\n  - tls:\n      cert: a.pem\n", "2: listen[0].tls.key: a TLS listener needs it: a PEM file"},
		{"client_auth alone", "listen:\n  - tls: {cert: a, key: b, client_auth: optional}\n", "2: listen[0].tls.client_auth: needs client_ca, the authority to check against"},
		{"PROXY protocol by a word", "listen:\n  - proxy_protocol: v2\n", "2: listen[0].proxy_protocol: want a mapping of keys to values, got \"v2\""},
		{"trusted nobody", "listen:\n  - proxy_protocol:\n      trusted: []\n", "3: listen[0].proxy_protocol.trusted: at least one prefix is needed: the addresses of the balancers"},
		{"trusted not named", "listen:\n  - proxy_protocol: {}\n", "2: listen[0].proxy_protocol.trusted: at least one prefix is needed: the addresses of the balancers"},
		{"trusted a name", "listen:\n  - proxy_protocol: {trusted: [lb.example]}\n", `2: listen[0].proxy_protocol.trusted: want a CIDR prefix such as 192.0.2.0/24, got "lb.example"`},
		{"trusted an address", "listen:\n  - proxy_protocol: {trusted: [192.0.2.7]}\n", `2: listen[0].proxy_protocol.trusted: want a CIDR prefix, 192.0.2.7/32 for this address alone, got "192.0.2.7"`},
		{"trusted an IPv6 address", "listen:\n  - proxy_protocol: {trusted: ['2001:db8::7']}\n", `2: listen[0].proxy_protocol.trusted: want a CIDR prefix, 2001:db8::7/128 for this address alone, got "2001:db8::7"`},
		{"trusted with host bits", "listen:\n  - proxy_protocol: {trusted: [192.0.2.7/24]}\n", `2: listen[0].proxy_protocol.trusted: want 192.0.2.0/24, or 192.0.2.7/32 for that address alone, got "192.0.2.7/24"`},
		{"trusted beyond bits", "listen:\n  - proxy_protocol: {trusted: [192.0.2.0/33]}\n", `2: listen[0].proxy_protocol.trusted: want a CIDR prefix such as 192.0.2.0/24, got "192.0.2.0/33"`},
		{"trusted IPv4 in IPv6", "listen:\n  - proxy_protocol: {trusted: ['::ffff:192.0.2.0/120']}\n", `2: listen[0].proxy_protocol.trusted: want an IPv4 prefix as such, got "::ffff:192.0.2.0/120"`},
		{"trusted, the second", "listen:\n  - proxy_protocol: {trusted: [192.0.2.0/24, x]}\n", `2: listen[0].proxy_protocol.trusted: want a CIDR prefix such as 192.0.2.0/24, got "x"`},
		{"client_auth", "listen:\n  - tls: {cert: a, key: b, client_ca: c, client_auth: maybe}\n", `2: listen[0].tls.client_auth: want one of require, optional, got "maybe"`},

		// The operator's HTTP.
		{"ops off", "issuers: [{ISSUER}]\nops: {address: ''}\n", `2: ops.address: want host:port, got ""`},
		{"public pprof", "issuers: [{ISSUER}]\nops:\n  address: :9885\n  pprof: true\n", "4: ops.pprof: only on loopback, and ops.address is :9885"},

		// Issuers.
		{"no issuer", "issuers: []\n", "1: issuers: none is configured; give --issuer, --audience and --scope, or a file with issuers (--config)"},
		{"no issuer URL", "issuers:\n  - audience: [x]\n", "2: issuers[0].issuer: is required: the issuer's URL, as its tokens have it in iss"},
		{"no URL", "issuers:\n  - issuer: login\n", "2: issuers[0].issuer: want a URL such as https://login.example.com"},
		{"another scheme", "issuers:\n  - issuer: ftp://a.example\n", "2: issuers[0].issuer: want a URL such as https://login.example.com"},
		{"plain http", "issuers:\n  - issuer: http://a.example\n", "2: issuers[0].issuer: http is for loopback only: use https, or set insecure_http: true"},
		{"password", "issuers:\n  - issuer: https://u:secret@a.example\n", "2: issuers[0].issuer: a URL with a user or password in it is refused"},
		{"query", "issuers:\n  - issuer: https://a.example?x=y\n", "2: issuers[0].issuer: an issuer has no query (?)"},
		{"fragment", "issuers:\n  - issuer: https://a.example#\n", "2: issuers[0].issuer: a URL with a fragment (#) is refused"},
		{"long", "issuers:\n  - issuer: https://a.example/" + strings.Repeat("x", 240) + "\n", "2: issuers[0].issuer: want at most 256 bytes, got 258"},
		{"plain jwks_uri", "issuers:\n  - {ISSUER, jwks_uri: 'http://a.example/jwks'}\n", "2: issuers[0].jwks_uri: http is for loopback only: use https, or set insecure_http: true"},
		{"no audience", "issuers:\n  - issuer: https://a.example\n", "2: issuers[0].audience: is required: who the tokens are for"},
		{"empty audience", "issuers:\n  - issuer: https://a.example\n    audience: ['']\n", "3: issuers[0].audience[0]: is empty"},
		{"no scope", "issuers:\n  - {issuer: 'https://a.example', audience: [x]}\n", "2: issuers[0].required_scopes: is required: the scopes that a token must have; or set any_scope: true in a file"},
		{"two scopes in one", "issuers:\n  - issuer: https://a.example\n    audience: [x]\n    required_scopes: [a b]\n", `4: issuers[0].required_scopes[0]: want one scope, without spaces or quotes, got "a b"`},
		{"symmetric", "issuers:\n  - {ISSUER, algorithms: [ES256, HS256]}\n", `2: issuers[0].algorithms[1]: "HS256" is symmetric, and refused`},
		{"alg none", "issuers:\n  - {ISSUER, algorithms: [none]}\n", `2: issuers[0].algorithms[0]: want one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519, got "none"`},
		{"no algorithm", "issuers:\n  - {ISSUER, algorithms: []}\n", "2: issuers[0].algorithms: the list is empty"},
		{"token type", "issuers:\n  - {ISSUER, token_types: [logout+jwt]}\n", `2: issuers[0].token_types[0]: want one of at+jwt, JWT, none, got "logout+jwt"`},
		{"no subject", "issuers:\n  - {ISSUER, subject_claim: ''}\n", "2: issuers[0].subject_claim: is empty"},
		{"claim that allows nothing", "issuers:\n  - {ISSUER, required_claims: {token_use: []}}\n", "2: issuers[0].required_claims.token_use: the list is empty"},
		{"claim without a list", "issuers:\n  - {ISSUER, required_claims: {token_use: access}}\n", `2: issuers[0].required_claims.token_use: want a list, got "access"`},
		{"stale before refreshed", "issuers:\n  - ISSUER_BLOCK\n    jwks:\n      max_stale: 1m\n", "6: issuers[0].jwks.max_stale: want more than refresh_interval, which is 5m, got 1m"},
		{"refreshed before it is cool", "issuers:\n  - ISSUER_BLOCK\n    jwks:\n      refresh_interval: 2s\n", "6: issuers[0].jwks.refresh_interval: want at least cooldown, which is 3s, got 2s"},
		{"one issuer twice", "issuers:\n  - {name: a, ISSUER}\n  - {name: b, ISSUER}\n", `3: issuers[1].issuer: "https://a.example" is taken by issuers[0].issuer`},
		{"one name twice", "issuers:\n  - {ISSUER}\n  - {issuer: 'https://a.example/b', audience: [x], any_scope: true}\n", `3: issuers[1].name: "a.example" is taken by issuers[0].name`},

		{"negative grace", "issuers: [{jwks: {removal_grace: -1s}}]\n", `1: issuers[0].jwks.removal_grace: want at least 0s, got "-1s"`},

		// Sockets that are handed over.
		{"a socket without a name", "listen:\n  - address: 'systemd:'\n", `2: listen[0].address: want systemd: and the FileDescriptorName of a socket, got "systemd:"`},
		{"a socket with two names", "listen:\n  - address: systemd:a:b\n", `2: listen[0].address: want systemd: and the FileDescriptorName of a socket, got "systemd:a:b"`},
		{"a socket for two", "issuers: [{ISSUER}]\nlisten: [{address: 'systemd:0'}]\nops: {address: 'systemd:0'}\n", `3: ops.address: "systemd:0" is taken by listen[0].address`},

		// The admin API.
		{"admin without a port", "issuers: [{ISSUER}]\nadmin: {address: 127.0.0.1}\n", `2: admin.address: want host:port, got "127.0.0.1"`},
		{"admin in clear for all", "issuers: [{ISSUER}]\nadmin: {address: ':9886'}\n", "2: admin.address: off loopback it needs TLS: set admin.tls.cert and admin.tls.key"},
		{"admin where ops is", "issuers: [{ISSUER}]\nadmin: {address: '127.0.0.1:9885'}\n", `2: admin.address: "127.0.0.1:9885" is taken by ops.address`},
		{"admin where devices are", "issuers: [{ISSUER}]\nadmin: {address: '127.0.0.1:8885'}\n", `2: admin.address: "127.0.0.1:8885" is taken by listen[0].address`},
		{"admin cert alone", "issuers: [{ISSUER}]\nadmin:\n  tls:\n    cert: a.pem\n", "4: admin.tls.cert: needs admin.tls.key beside it"},
		{"admin key alone", "issuers: [{ISSUER}]\nadmin:\n  tls:\n    key: a.pem\n", "4: admin.tls.key: needs admin.tls.cert beside it"},
		{"admin client_ca alone", "issuers: [{ISSUER}]\nadmin:\n  tls:\n    client_ca: a.pem\n", "4: admin.tls.client_ca: needs admin.tls.cert and admin.tls.key beside it"},
		{"admin issuer that is none", "issuers: [{ISSUER}]\nadmin: {issuers: [a.example, main]}\n", `2: admin.issuers[1]: no issuer is named "main"; there are: a.example`},
		{"admin issuer twice", "issuers: [{ISSUER}]\nadmin: {issuers: [a.example, a.example]}\n", `2: admin.issuers[1]: "a.example" is taken by admin.issuers[0]`},
		{"admin for an empty audience", "issuers: [{ISSUER}]\nadmin: {audience: ['']}\n", "2: admin.audience[0]: is empty"},
		{"admin without a scope", "issuers: [{ISSUER}]\nadmin: {scopes: []}\n", "2: admin.scopes: the list is empty: the devices' own tokens would do"},
		{"admin with two scopes in one", "issuers: [{ISSUER}]\nadmin: {scopes: [a b]}\n", `2: admin.scopes[0]: want one scope, without spaces or quotes, got "a b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := strings.ReplaceAll(test.file, "ISSUER_BLOCK", strings.ReplaceAll(issuer, ", ", "\n    "))
			file = strings.ReplaceAll(file, "ISSUER", issuer)
			wantError(t, Options{Path: write(t, file)}, "linegate.yaml:"+test.want)
		})
	}
}

// Scopes that devices have do not make operators.
func TestAdminScopesOfDevices(t *testing.T) {
	const issuers = minimal + `    name: main
  - {name: other, issuer: https://other.example, audience: [linegate], required_scopes: [a, b]}
  - {name: any, issuer: https://any.example, audience: [linegate], any_scope: true}
admin:
  issuers: [main, other, any]
`
	const (
		on    = "  address: 127.0.0.1:9886\n"
		main  = "issuers[0].required_scopes asks for all of these, too, so every device of main may use the admin API"
		other = "issuers[1].required_scopes asks for all of these, too, so every device of other may use the admin API"
	)
	for _, test := range []struct {
		name, admin string
		want        []Warning
	}{
		{"the default", on, nil},
		{"a device's", on + "  scopes: [line:connect]\n", []Warning{"linegate.yaml:11: admin.scopes: " + main}},
		{"one of a device's", on + "  scopes: [b]\n", []Warning{"linegate.yaml:11: admin.scopes: " + other}},
		{"a device's, and one more", on + "  scopes: [a, b, c]\n", nil},
		{"a device's, and its audience", on + "  scopes: [line:connect]\n  audience: [x, linegate]\n", []Warning{"linegate.yaml:11: admin.scopes: " + main}},
		{"a device's, with another audience", on + "  scopes: [line:connect]\n  audience: [operators]\n", nil},
		{"a device's, and nobody listens", "  scopes: [line:connect]\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, warnings, err := Load(Options{Path: write(t, issuers+test.admin)})
			if err != nil || !slices.Equal(warnings, test.want) {
				t.Errorf("%v\ngot  %q\nwant %q", err, warnings, test.want)
			}
		})
	}

	// The key is named also where it is not set.
	_, warnings, err := Load(Options{Path: write(t, strings.Replace(issuers, "line:connect", "linegate:admin", 1)+on)})
	if want := []Warning{"linegate.yaml:8: admin.scopes: " + main}; err != nil || !slices.Equal(warnings, want) {
		t.Errorf("%v\ngot  %q\nwant %q", err, warnings, want)
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := Load(Options{Path: write(t, minimal+`    token_types: [at+jwt, none]
  - issuer: https://cognito.example
    audience: [x]
    any_scope: true
    token_types: [none]
    required_claims: {token_use: [access]}
admin:
  address: "[::1]:9886"
drain:
  delay: 70s
listen:
  - proxy_protocol: {trusted: [192.0.2.0/24, "::/0"]}
`)})
	if err != nil {
		t.Fatal(err)
	}
	want := []Warning{
		"linegate.yaml:16: listen[0].proxy_protocol.trusted: ::/0 lets everybody say what address they come from",
		"linegate.yaml:5: issuers[0].token_types: none is allowed without required_claims, so an ID token may pass for an access token",
		"linegate.yaml:11: admin.issuers: no issuer may grant access to the admin API, so nobody gets in",
		"linegate.yaml:13: drain.timeout: a stop takes up to 1m35s with drain.delay; the platform's grace must be longer",
	}
	if len(warnings) != len(want) {
		t.Fatalf("warnings %q", warnings)
	}
	for i := range want {
		if warnings[i] != want[i] {
			t.Errorf("\ngot  %s\nwant %s", warnings[i], want[i])
		}
	}
}
