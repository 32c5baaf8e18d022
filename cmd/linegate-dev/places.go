package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// places says where everything listens. Without a gateway only issuer is set.
type places struct {
	issuer     string // URL
	gateway    string // host:port, as the rest
	gatewayTLS string
	ops        string
	admin      string // empty: off
	ca         string // path of the PEM file
}

// print tells a person where everything is and what to paste next. control is
// how to call linegatectl.
func (p places) print(w io.Writer, control string) {
	var text strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format+"\n", args...) }

	line("linegate-dev: for development only, never for production.")
	line("")
	if p.gateway != "" {
		line("  gateway   %s", p.gateway)
		line("  with TLS  %s, CA certificate %s", p.gatewayTLS, p.ca)
		line("  metrics   http://%s/metrics", p.ops)
	}
	if p.admin != "" {
		line("  admin API http://%s/v1/", p.admin)
	}
	line("  issuer    %s, client dev-device, secret dev-secret", p.issuer)
	if p.gateway != "" {
		line("            which the gateway calls %s", issuerName)
	}
	line("  control   %s/dev/ (keys, token lifetime, outages)", p.issuer)
	line("")
	if p.gateway != "" {
		host, port, _ := net.SplitHostPort(p.gateway)
		line("Talk to the gateway: paste this, then type ping or anything else.")
		line("  { printf 'AUTH %%s\\n' \"$(%s token%s)\"; cat; } | nc %s %s", control, p.issuerFlag(), host, port)
		line("Over TLS:")
		line("  %s connect%s --ca-file %s %s", control, p.issuerFlag(), shellQuote(p.ca), shellQuote(p.gatewayTLS))
	} else {
		line("Get a token:")
		line("  curl -u dev-device:dev-secret -d grant_type=client_credentials %s", shellQuote(p.issuer+"/token"))
	}
	line("Sign in as alice or bob:")
	line("  %s login%s", control, p.issuerFlag())
	if p.admin != "" {
		line("See who is connected; kick and revoke work likewise, or log in with --admin:")
		line("  %s token%s --client-credentials --scope linegate:admin | %s sessions%s --admin-token-file -",
			control, p.issuerFlag(), control, p.adminFlag())
	}
	line("Rotate the signing key:")
	line("  curl -X POST %s", shellQuote(p.issuer+"/dev/rotate"))
	line("")
	line("Ctrl-C ends it.")
	_, _ = io.WriteString(w, text.String())
}

// issuerFlag tells linegatectl of an issuer that is not where it looks.
func (p places) issuerFlag() string {
	if p.issuer == "http://"+defaultIssuer {
		return ""
	}
	return " --issuer " + shellQuote(p.issuer)
}

// adminFlag tells linegatectl of an admin API that is not where it looks.
func (p places) adminFlag() string {
	if p.admin == defaultAdmin {
		return ""
	}
	return " --admin-url " + shellQuote("http://"+p.admin)
}

// controlCommand returns how to call linegatectl: the binary beside this one
// when there is one (make build), else by go run in the source tree.
func controlCommand() string {
	executable, err := os.Executable()
	if err != nil {
		return goRunControl
	}
	directory, err := os.Getwd()
	if err != nil {
		return goRunControl
	}
	return controlBeside(executable, directory)
}

const goRunControl = "go run ./cmd/linegatectl"

func controlBeside(executable, directory string) string {
	path := filepath.Join(filepath.Dir(executable), "linegatectl")
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return goRunControl
	}
	relative, err := filepath.Rel(directory, path)
	if err != nil || strings.HasPrefix(relative, "..") {
		return shellQuote(path)
	}
	return shellQuote("./" + relative)
}

// shellQuote returns s as one word for a POSIX shell.
func shellQuote(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
