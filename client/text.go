package client

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxForeignText bounds what of a stranger's text gets into an error.
const maxForeignText = 256

// printable makes text from elsewhere fit for one line of a person's terminal:
// bounded, and with every rune that does not show replaced by U+FFFD.
func printable(s string) string {
	if len(s) > maxForeignText {
		s = s[:maxForeignText] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsGraphic(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}
