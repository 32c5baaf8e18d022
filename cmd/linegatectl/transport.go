package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/client"
)

// transportFlags say how the gateway is connected to.
type transportFlags struct {
	tls, plaintext, insecure bool
	caFile, serverName       string
	cert                     certFlags
}

func (f *transportFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.tls, "tls", false, "use TLS, also on loopback")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM `file` of the certificate authorities to trust instead of the system's; implies --tls")
	flags.StringVar(&f.serverName, "server-name", "", "`name` that the gateway's certificate must have (default: the host of ADDRESS); implies --tls")
	f.cert.add(cmd, "the gateway", "; implies --tls")
	flags.BoolVar(&f.plaintext, "plaintext", false, "use plain TCP; on loopback only, unless --insecure-plaintext is given too")
	flags.BoolVar(&f.insecure, "insecure-plaintext", false, "let --plaintext send the token readable across a network")
}

// check refuses flags that contradict each other.
func (f *transportFlags) check() error {
	switch {
	case f.plaintext && f.secured():
		return errors.New("--plaintext: not beside --tls, --ca-file, --server-name or --client-cert")
	case f.insecure && !f.plaintext:
		return errors.New("--insecure-plaintext: only with --plaintext")
	}
	return nil
}

// secured reports whether TLS is asked for.
func (f *transportFlags) secured() bool {
	return f.tls || f.caFile != "" || f.serverName != "" || f.cert.given()
}

// tlsConfig returns nil for plain TCP.
func (f *transportFlags) tlsConfig(address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: want host:port", address)
	}
	loopback := client.IsLoopback(host)
	switch {
	case f.plaintext && !loopback && !f.insecure:
		return nil, fmt.Errorf("--plaintext: %s is not loopback, the token would cross the network readable; --insecure-plaintext allows it", address)
	case f.plaintext, loopback && !f.secured():
		return nil, nil
	}
	shown, err := f.cert.certificates()
	if err != nil {
		return nil, err
	}
	roots, err := authorities(f.caFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: roots, Certificates: shown, ServerName: cmp.Or(f.serverName, host), MinVersion: tls.VersionTLS12}, nil
}

// authorities reads a --ca-file; nil, for the system's, without one.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, failed(fmt.Errorf("--ca-file: %w", err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, failed(fmt.Errorf("--ca-file: %s has no PEM certificate", file))
	}
	return roots, nil
}
