package config

import (
	"errors"
	"fmt"
	"net"
)

// What must not be open to the network: said of an address in the configuration,
// and of a socket that was handed over.
var (
	errPlaintext    = errors.New("plain TCP off loopback would show tokens to the network: configure tls (--tls-cert, --tls-key), or set insecure_plaintext: true in a file")
	errAdminInClear = errors.New("off loopback it needs TLS: set admin.tls.cert and admin.tls.key")
	errPprof        = errors.New("ops.pprof is only for loopback")
)

// CheckSocket refuses where a socket listens that was handed over to be l's: what
// its address would have been refused for.
func (l *Listener) CheckSocket(at net.Addr) error {
	return refuseOff(at, l.TLS != nil || l.InsecurePlaintext, errPlaintext)
}

// CheckSocket refuses where a socket listens that was handed over for the
// operator's HTTP.
func (o *Ops) CheckSocket(at net.Addr) error { return refuseOff(at, !o.Pprof, errPprof) }

// CheckSocket refuses where a socket listens that was handed over for the admin
// API.
func (a *Admin) CheckSocket(at net.Addr) error {
	return refuseOff(at, a.TLS.Cert != "", errAdminInClear)
}

func refuseOff(at net.Addr, allowed bool, because error) error {
	if allowed || isLoopback(at.String()) {
		return nil
	}
	return fmt.Errorf("the socket listens on %s: %w", at, because)
}
