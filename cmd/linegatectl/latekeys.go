package main

import (
	"context"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/config"
)

// lateKeys are an issuer's, fetched as the gateway does when a check first asks
// for them, and waited for. A gateway has had them long before the token comes,
// and judges by them: so does the check, and no issuer is asked whose keys no
// check needs.
type lateKeys struct {
	ctx    context.Context
	issuer config.Issuer
	remote *auth.Remote
	err    error // why there is no remote
}

// Current waits for the first fetch, however that ends.
func (k *lateKeys) Current() *auth.KeySet {
	if k.remote == nil && k.err == nil {
		k.start()
	}
	if k.err != nil {
		return nil
	}
	return k.remote.Current()
}

func (k *lateKeys) start() {
	k.remote, k.err = auth.NewRemote(auth.RemoteConfig{
		Name:         k.issuer.Name,
		Issuer:       k.issuer.Issuer,
		JWKSURI:      k.issuer.JWKSURI,
		Cooldown:     time.Millisecond, // a person waits, once
		Timeout:      k.issuer.JWKS.Timeout,
		CAFile:       k.issuer.JWKS.CAFile,
		InsecureHTTP: k.issuer.InsecureHTTP,
	})
	if k.err == nil {
		go k.remote.Run(k.ctx)
		_, _ = k.remote.WaitForKey(k.ctx, "") // why it failed, the check finds out
	}
}

// WaitForKey implements auth.KeySource.
func (k *lateKeys) WaitForKey(ctx context.Context, kid string) (*auth.KeySet, error) {
	if k.err != nil {
		return nil, k.err
	}
	return k.remote.WaitForKey(ctx, kid)
}

// Standing implements auth.KeySource; nobody has a session.
func (k *lateKeys) Standing(string) auth.Standing { return auth.Standing{} }
