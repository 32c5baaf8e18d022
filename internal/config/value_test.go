package config

import (
	"testing"
	"time"
)

func TestSizesReadAsWritten(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1000": 1000, "8KiB": 8192, "1MiB": 1 << 20, "1GiB": 1 << 30,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s is %d, %v", text, got, err)
		}
		if back := want.String(); back != text {
			t.Errorf("%d is written %s, want %s", want, back, text)
		}
	}
}

func TestSizesRefused(t *testing.T) {
	for _, text := range []string{"", "KiB", "8 KiB", "8kib", "8K", "1.5KiB", "-1", "+1", "0x10", "2GiB", "2147483648", "99999999999999999999"} {
		if size, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, size)
		}
	}
}

func TestDurationsAreWrittenShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "30s": 30 * time.Second, "5m": 5 * time.Minute, "24h": 24 * time.Hour,
		"1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "10m10s": 610 * time.Second, "1.5s": 1500 * time.Millisecond,
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.255.0.9:1": true, "[::1]:1": true, "localhost:1": true, "LocalHost:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "localhost.example:1": false,
		"127.0.0.1.example:1": false, "127.0.0.1": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}
