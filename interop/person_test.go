package interop

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// person is somebody with a browser without JavaScript: a cookie jar, and forms
// that are filled in and posted.
type person struct {
	t    *testing.T
	http *http.Client
	at   *url.URL // of the page that is shown; a redirect to a client is not followed
	page string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, http: &http.Client{
		Jar:     jar,
		Timeout: patience,
		CheckRedirect: func(next *http.Request, _ []*http.Request) error {
			if next.URL.Path == "/callback" {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

func (p *person) opens(address string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.load(request)
}

func (p *person) load(request *http.Request) {
	p.t.Helper()
	response, err := p.http.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.at, p.page = response.Request.URL, string(body)
	if location, err := response.Location(); err == nil {
		p.at, p.page = location, ""
		return
	}
	if response.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: HTTP %d\n%s", p.at.Path, response.StatusCode, p.page)
	}
}

// Just enough of HTML for forms that are well-formed.
var (
	formElement   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputElement  = regexp.MustCompile(`<input\b([^>]*)>`)
	buttonElement = regexp.MustCompile(`(?s)<button\b([^>]*)>(.*?)</button>`)
	linkElement   = regexp.MustCompile(`(?s)<a\b([^>]*)>(.*?)</a>`)
	attribute     = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
	tag           = regexp.MustCompile(`<[^>]*>`)
)

// presses the button whose text begins so, in its form with the values that are in it
// and the fields, name=value each.
func (p *person) presses(button string, fields ...string) {
	p.t.Helper()
	for _, element := range formElement.FindAllStringSubmatch(p.page, -1) {
		form, content := attributes(element[1]), element[2]
		values := url.Values{}
		for _, input := range inputElement.FindAllStringSubmatch(content, -1) {
			given := attributes(input[1])
			values.Set(given["name"], given["value"])
		}
		for _, candidate := range buttonElement.FindAllStringSubmatch(p.page, -1) {
			given := attributes(candidate[1])
			// A button belongs to the form around it or to the one it names.
			if !strings.HasPrefix(label(candidate[2]), button) || given["form"] != form["id"] && !strings.Contains(content, candidate[0]) {
				continue
			}
			if given["name"] != "" {
				values.Set(given["name"], given["value"])
			}
			for _, field := range fields {
				name, value, _ := strings.Cut(field, "=")
				if !values.Has(name) && !strings.Contains(content, `name="`+name+`"`) {
					p.t.Fatalf("%s: the form has no field %s\n%s", p.at.Path, name, p.page)
				}
				values.Set(name, value)
			}
			p.submits(form, values)
			return
		}
	}
	p.t.Fatalf("%s: no button %q\n%s", p.at.Path, button, p.page)
}

// follows the link whose text begins so.
func (p *person) follows(link string) {
	p.t.Helper()
	for _, candidate := range linkElement.FindAllStringSubmatch(p.page, -1) {
		if strings.HasPrefix(label(candidate[2]), link) {
			target, err := p.at.Parse(attributes(candidate[1])["href"])
			if err != nil {
				p.t.Fatal(err)
			}
			p.opens(target.String())
			return
		}
	}
	p.t.Fatalf("%s: no link %q\n%s", p.at.Path, link, p.page)
}

func (p *person) submits(form map[string]string, values url.Values) {
	p.t.Helper()
	target, err := p.at.Parse(form["action"])
	if err != nil {
		p.t.Fatal(err)
	}
	if form["method"] != "post" {
		target.RawQuery = values.Encode()
		p.opens(target.String())
		return
	}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", p.at.Scheme+"://"+p.at.Host)
	p.load(request)
}

// sees fails the test unless the page has this text.
func (p *person) sees(text string) {
	p.t.Helper()
	if !strings.Contains(label(p.page), text) {
		p.t.Fatalf("%s: no %q on the page\n%s", p.at, text, p.page)
	}
}

// redirected returns the parameters of the answer that went to the client's
// redirect URI.
func (p *person) redirected() url.Values {
	p.t.Helper()
	if p.at.Path != "/callback" {
		p.t.Fatalf("still at %s\n%s", p.at.Path, p.page)
	}
	return p.at.Query()
}

func attributes(text string) map[string]string {
	found := map[string]string{}
	for _, a := range attribute.FindAllStringSubmatch(text, -1) {
		found[a[1]] = html.UnescapeString(a[2])
	}
	return found
}

// label is what of a piece of HTML can be read.
func label(text string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(text, " "))), " ")
}
