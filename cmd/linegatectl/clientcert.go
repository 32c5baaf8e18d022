package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// certFlags name the certificate that a client shows: one that the server wants,
// or that the token is bound to (RFC 8705).
type certFlags struct {
	certFile, keyFile string
}

func (f *certFlags) add(cmd *cobra.Command, to, more string) {
	flags := cmd.Flags()
	flags.StringVar(&f.certFile, "client-cert", "", "PEM `file` of the client certificate to show to "+to+more)
	flags.StringVar(&f.keyFile, "client-key", "", "PEM `file` of its private key"+more)
}

// given reports whether there is any of the two.
func (f *certFlags) given() bool { return f.certFile != "" || f.keyFile != "" }

// certificates reads it; none without the flags.
func (f *certFlags) certificates() ([]tls.Certificate, error) {
	switch {
	case !f.given():
		return nil, nil
	case f.certFile == "" || f.keyFile == "":
		return nil, errors.New("--client-cert and --client-key: want both or none")
	}
	pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return nil, failed(fmt.Errorf("--client-cert, --client-key: %w", err))
	}
	return []tls.Certificate{pair}, nil
}

// wanted says what to do when err is the alert of a server that wants a client
// certificate (RFC 8446 section 6.2), or another than it got; empty when it is
// not. A client whose certificate is by no authority that the server names shows
// none.
func (f *certFlags) wanted(server string, err error) string {
	_, alert, _ := strings.Cut(err.Error(), "remote error: tls: ")
	switch {
	case alert == "certificate required" && !f.given():
		return server + " wants a client certificate (TLS alert: certificate required): give --client-cert and --client-key"
	case f.given() && (alert == "certificate required" || alert == "unknown certificate authority"):
		return server + " wants a client certificate by another authority than that of --client-cert (TLS alert: " + alert + ")"
	}
	return ""
}
