package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// query reads the parameters of a request's address. It refuses those that are
// not among known, and those that come twice, by name.
func query(r *http.Request, known ...string) (url.Values, error) {
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalidRequest("malformed parameters behind the ?")
	}
	for name, values := range params {
		switch {
		case !slices.Contains(known, name):
			return nil, invalidRequest(fmt.Sprintf("%.64q: no such parameter", name))
		case len(values) > 1:
			return nil, invalidRequest(name + ": given more than once")
		}
	}
	return params, nil
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// limit reads how many items a list may have.
func limit(params url.Values) (int, error) {
	if !params.Has("limit") {
		return defaultLimit, nil
	}
	text := params.Get("limit")
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 1 || n > maxLimit {
		return 0, invalidRequest(fmt.Sprintf("limit: want 1 to %d, got %.64q", maxLimit, text))
	}
	return int(n), nil
}

// list is a page of items, in an order that changes do not disturb.
type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"` // after, for the next page; nil: this is the last
}

// page returns the first items, at most limit, of those that come after.
func page[T any](items []T, limit int, id func(T) string) list[T] {
	l := list[T]{Items: items}
	if len(items) > limit {
		l.Items = items[:limit]
		next := id(l.Items[limit-1])
		l.Next = &next
	}
	if l.Items == nil {
		l.Items = []T{}
	}
	return l
}
