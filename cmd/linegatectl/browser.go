package main

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// openBrowser starts a browser with address, and reports whether there was one
// to start. What the browser prints is not shown.
func openBrowser(c *console, address string) bool {
	for _, command := range browsers(c) {
		words := strings.Fields(command)
		if len(words) == 0 {
			continue
		}
		if !strings.Contains(command, "%s") {
			words = append(words, "%s")
		}
		for i, word := range words {
			words[i] = strings.ReplaceAll(word, "%s", address)
		}
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = c.environ
		if cmd.Start() == nil {
			go func() { _ = cmd.Wait() }() // it may live longer than the login
			return true
		}
	}
	return false
}

// browsers returns the commands to try. On a Unix without a display the
// system's own would take over the terminal.
func browsers(c *console) []string {
	if list, ok := c.variable("BROWSER"); ok && list != "" {
		return filepath.SplitList(list)
	}
	switch runtime.GOOS {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32 url.dll,FileProtocolHandler"}
	}
	for _, display := range []string{"DISPLAY", "WAYLAND_DISPLAY"} {
		if value, ok := c.variable(display); ok && value != "" {
			return []string{"xdg-open"}
		}
	}
	return nil
}
