package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// Which commands would open an address.
func TestBrowsers(t *testing.T) {
	system := map[string][]string{"darwin": {"open"}, "windows": {"rundll32 url.dll,FileProtocolHandler"}}[runtime.GOOS]
	onDisplay := system
	if system == nil {
		onDisplay = []string{"xdg-open"}
	}
	for _, test := range []struct {
		environ []string
		want    []string
	}{
		{[]string{"BROWSER=a %s -x" + string(os.PathListSeparator) + "b"}, []string{"a %s -x", "b"}},
		{[]string{"BROWSER=", "DISPLAY=:0"}, onDisplay},
		{[]string{"WAYLAND_DISPLAY=wayland-0"}, onDisplay},
		{[]string{"DISPLAY="}, system}, // a text browser would take the terminal
		{nil, system},
	} {
		if got := browsers(&console{environ: test.environ}); !slices.Equal(got, test.want) {
			t.Errorf("%v: got %q, want %q", test.environ, got, test.want)
		}
	}
}

// None of the commands is there.
func TestNoBrowser(t *testing.T) {
	list := filepath.Join(t.TempDir(), "a") + string(os.PathListSeparator) + " " + string(os.PathListSeparator) + filepath.Join(t.TempDir(), "b %s")
	if openBrowser(&console{environ: []string{"BROWSER=" + list}}, "http://127.0.0.1") {
		t.Error("opened")
	}
}
