package load

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// What makes no sense is refused with the name of what is at fault.
func TestCheck(t *testing.T) {
	good := Config{Mode: Ping, Connections: 10, Duration: time.Second, Tokens: []string{"x"}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"mode: ":                   func(c *Config) { c.Mode = "pong" },
		"protocol: \"smtp\"":       func(c *Config) { c.Protocol = "smtp" },
		"protocol: nats":           func(c *Config) { c.Protocol, c.Mode, c.Size = NATS, Echo, 1 },
		"connections: ":            func(c *Config) { c.Connections = 0 },
		"pipeline: ":               func(c *Config) { c.Pipeline = -1 },
		"size: want 1":             func(c *Config) { c.Mode = Echo },
		"size: want 1 to 1024, ":   func(c *Config) { c.Mode, c.Size, c.Pipeline = Echo, 1025, 1024 },
		"duration: want more":      func(c *Config) { c.Duration = 0 },
		"duration: want no":        func(c *Config) { c.Duration = -1 },
		"count: ":                  func(c *Config) { c.Count = -1 },
		"count: only":              func(c *Config) { c.Mode, c.Count = Storm, 1 },
		"warmup: only":             func(c *Config) { c.Mode, c.Warmup = Idle, 1 },
		"cut-by: only":             func(c *Config) { c.CutByServer = true },
		"rate: only":               func(c *Config) { c.Mode, c.Rate = Login, 1 },
		"strangers: only":          func(c *Config) { c.Mode, c.Strangers = Storm, &Strangers{Rate: 1} },
		"strangers: want at least": func(c *Config) { c.Strangers = &Strangers{Rate: -1} },
		"strangers: want tokens":   func(c *Config) { c.Protocol, c.Tokens, c.Strangers = Lines, nil, &Strangers{Rate: 1} },
		"tokens: ":                 func(c *Config) { c.Tokens = nil },
		"source: ":                 func(c *Config) { c.Source = netip.MustParsePrefix("fe80::/64") },
		"steps: want rising":       func(c *Config) { c.Steps = []int{10, 5} },
		"steps: want":              func(c *Config) { c.Steps = []int{5} },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s...", err, want)
		}
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%s: it ran", want)
		}
	}
}

func TestSourceAt(t *testing.T) {
	for _, test := range []struct {
		prefix string
		n      uint32
		want   string
	}{
		{"127.0.0.0/8", 0, "127.0.0.1"},
		{"127.0.0.0/8", 256, "127.0.1.1"},
		{"127.9.9.9/8", 1<<24 - 3, "127.255.255.254"},
		{"127.0.0.0/8", 1<<24 - 2, "127.0.0.1"}, // and again
		{"192.0.2.0/30", 1, "192.0.2.2"},
		{"192.0.2.0/30", 2, "192.0.2.1"},
		{"192.0.2.7/32", 5, "192.0.2.7"},
		{"192.0.2.0/31", 3, "192.0.2.0"},
	} {
		if got := sourceAt(netip.MustParsePrefix(test.prefix), test.n).String(); got != test.want {
			t.Errorf("%s, %d: %s, want %s", test.prefix, test.n, got, test.want)
		}
	}
}

// More connections than files are refused before any is made.
func TestFileLimit(t *testing.T) {
	_, err := Run(t.Context(), Config{Mode: Ping, Protocol: Lines, Address: "127.0.0.1:1", Connections: 1 << 30, Count: 1})
	if err == nil || !strings.Contains(err.Error(), "1073741824 connections need 1073741888 open files, and the limit is ") {
		t.Errorf("%v", err)
	}
}
