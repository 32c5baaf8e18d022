package devissuer

import (
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxForm bounds the body of a request, in bytes.
const maxForm = 16 << 10

// readForm returns the parameters in the body; those in the URL do not count,
// as secrets must not be there (RFC 6749 section 2.3.1). A parameter may come
// once, and one without a value is as good as left out (section 3.2).
func readForm(w http.ResponseWriter, r *http.Request) (map[string]string, *tokenError) {
	form, refusal := parseForm(w, r)
	if refusal != nil {
		return nil, refusal
	}
	params, repeated := single(form)
	if repeated != "" {
		return nil, invalidRequest("a parameter is repeated")
	}
	return params, nil
}

func parseForm(w http.ResponseWriter, r *http.Request) (url.Values, *tokenError) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("the content type is not application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, invalidRequest("the body is too long or incomplete")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("the body is not form-encoded")
	}
	return form, nil
}

// single returns the first value of each parameter, and the name of one that is
// repeated. The resource parameter may be (RFC 8707 section 2); it is
// disregarded, as there is one audience here.
func single(form url.Values) (params map[string]string, repeated string) {
	params = make(map[string]string, len(form))
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			repeated = name
		}
		params[name] = values[0]
	}
	return params, repeated
}
