package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"
	"syscall"
	"time"

	"github.com/linegate/linegate/internal/load"
)

// logins measures the CPU time of a connection that logs in and goes: with one
// of 100 tokens that were there before, or with whatever the server has instead.
func logins(ctx context.Context, b *bench, f figures) error {
	tokens, err := b.issuer.tokens(100)
	if err != nil {
		return err
	}
	return b.each(ctx, []string{linegate, redis, epoll, goserver, nats}, variant{}, func(s *server) error {
		return b.login(ctx, s, seenLogin, tokens, tokens, f)
	})
}

// newTokens is the same with tokens of which each comes once; and the check
// that each needs, alone.
func newTokens(ctx context.Context, b *bench, f figures) error {
	check, err := b.bareCheck()
	if err != nil {
		return err
	}
	f[key{bareCheck, linegate}] = micros(check)
	others, err := b.issuer.tokens(500)
	if err != nil {
		return err
	}
	fresh, err := b.issuer.tokens(b.scale.logins)
	if err != nil {
		return err
	}
	return b.with(ctx, linegate, variant{}, func(s *server) error {
		return b.login(ctx, s, newLogin, others, fresh, f)
	})
}

func (b *bench) login(ctx context.Context, s *server, row string, before, tokens []string, f figures) error {
	c := b.config(s, before)
	c.Mode, c.Connections, c.Count = load.Login, 100, max(500, len(before))
	if _, err := b.load(ctx, c); err != nil {
		return err
	}
	if s.name == linegate {
		c.Tokens = tokens
	}
	c.Count = b.scale.logins
	r, err := b.load(ctx, c)
	if err != nil {
		return err
	}
	f[key{row, s.name}] = micros(r.CPUPerUnit())
	return nil
}

// bareCheck is the CPU time of one ES256 signature check by crypto/ecdsa with
// SHA-256, which is what golang-jwt calls.
func (b *bench) bareCheck() (time.Duration, error) {
	text := []byte(strings.Repeat("a token's header and payload ", 14))
	signature, err := b.issuer.key.Sign(text)
	if err != nil {
		return 0, err
	}
	public := b.issuer.key.Public().(*ecdsa.PublicKey)
	const times = 5000
	begin, err := ownCPU()
	if err != nil {
		return 0, err
	}
	for range times {
		digest := sha256.Sum256(text)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if !ecdsa.Verify(public, digest[:], r, s) {
			return 0, fmt.Errorf("the signature is not valid")
		}
	}
	end, err := ownCPU()
	return (end - begin) / times, err
}

func ownCPU() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}
