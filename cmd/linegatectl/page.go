package main

import (
	"crypto/rand"
	"html/template"
	"net/http"
)

// page is what the browser shows at the end of a login. Its texts may hold what
// an issuer sent; the template escapes them.
type page struct {
	Title, Text string
}

// writePage answers with p. The page brings all it needs, and may load nothing;
// the address, which has the code, is told to nobody.
func writePage(w http.ResponseWriter, status int, p page) {
	nonce := rand.Text()
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; frame-ancestors 'none'")
	w.WriteHeader(status)
	// The browser may have gone; the terminal tells the same.
	_ = template.Must(template.New("page").Parse(pageHTML)).Execute(w, struct {
		page
		Nonce string
	}{p, nonce})
}

const pageHTML = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} - linegatectl</title>
<style nonce="{{.Nonce}}">
:root { color-scheme: light dark; }
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; }
</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
</main>
</body>
</html>
`
