package devissuer

import (
	"slices"
	"strings"
)

// granted returns the scopes that the client gets for the scope parameter.
func (c Client) granted(requested string) ([]string, *tokenError) {
	if requested == "" {
		return c.Scopes, nil
	}
	return grantedScopes(slices.Concat(c.Scopes, c.OnRequest), requested)
}

// grantedScopes returns what somebody gets who asked for the scope parameter
// (RFC 6749 section 3.3): exactly that, or all that is allowed when it names
// none.
func grantedScopes(allowed []string, requested string) ([]string, *tokenError) {
	if requested == "" {
		return allowed, nil
	}
	var granted []string
	for word := range strings.SplitSeq(requested, " ") {
		switch {
		case isNoScopeToken(word):
			return nil, &tokenError{Code: "invalid_scope", Description: "scope is not a list of words, one space between them"}
		case !slices.Contains(allowed, word):
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

// permission is a scope as a person is asked about it.
type permission struct {
	Scope string
	Words string
}

// permissions puts scopes into plain words. renews says that the client gets a
// refresh token, which people are told whether or not a scope says so.
func permissions(scopes []string, renews bool) []permission {
	var list []permission
	for _, scope := range scopes {
		switch scope {
		case "line:connect":
			list = append(list, permission{scope, "Connect to the line gateway in your name, and send and receive lines there"})
		case "linegate:admin":
			list = append(list, permission{scope, "Administer the line gateway: see everybody’s connections and end them"})
		case "offline_access": // as renews has it
		default:
			list = append(list, permission{scope, "Use a permission that this server has no words for"})
		}
	}
	if renews {
		list = append(list, permission{"offline_access", "Renew this access while you are away, until you log out there"})
	}
	return list
}
