package devissuer

import (
	"slices"
	"strings"
)

// grantedScopes returns what a client gets that asked for the scope parameter
// (RFC 6749 section 3.3): exactly that, or all it may have when it names none.
func grantedScopes(client Client, requested string) ([]string, *tokenError) {
	if requested == "" {
		return client.Scopes, nil
	}
	var granted []string
	for word := range strings.SplitSeq(requested, " ") {
		switch {
		case isNoScopeToken(word):
			return nil, &tokenError{Code: "invalid_scope", Description: "scope is not a list of words, one space between them"}
		case !slices.Contains(client.Scopes, word):
			return nil, &tokenError{Code: "invalid_scope", Description: "scope exceeds what this client may have"}
		case !slices.Contains(granted, word):
			granted = append(granted, word)
		}
	}
	return granted, nil
}

// isNoScopeToken reports whether s is not a scope-token of RFC 6749 section 3.3.
func isNoScopeToken(s string) bool {
	return s == "" || strings.ContainsFunc(s, func(c rune) bool {
		return c < 0x21 || c > 0x7e || c == '"' || c == '\\'
	})
}
