package authtest

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/mint"
)

// What a careless check of a signature lets pass.

// signatures are of another key, or of another token.
func (a *Attacks) signatures() []row {
	token := a.main.Token
	return []row{
		{"the key's", token(), auth.OK, ""},
		{"another key's", token(ForgedBy(a.stranger)), auth.Signature, ""},
		{"of another payload", reword(token(), func(p []string) { p[1] = strings.Split(token(Sub("root")), ".")[1] }), auth.Signature, ""},
		{"of another header", reword(token(), func(p []string) { p[0] = strings.Split(token(Header("x", 1)), ".")[0] }), auth.Signature, ""},
		{"another key's, and all else is wrong too: that is not told", token(ForgedBy(a.stranger), Claim("exp", 1), Claim("aud", "other"), Claim("scope", nil)), auth.Signature, ""},
	}
}

// ecdsa: a JWS has r and s in 32 bytes each (RFC 7518 section 3.4), and both
// are from 1 to n-1. Zeros verified anything where CVE-2022-21449 was.
func (a *Attacks) ecdsa() []row {
	n, one, zero := elliptic.P256().Params().N, big.NewInt(1), new(big.Int)
	most := new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)
	// signed has a signature made of a good one.
	signed := func(of func(r, s *big.Int) []byte) string {
		return a.main.Token(signature(func(_ string, old []byte) []byte {
			return of(new(big.Int).SetBytes(old[:32]), new(big.Int).SetBytes(old[32:]))
		}))
	}
	pair := func(r, s *big.Int) []byte { return append(fill(r, 32), fill(s, 32)...) }
	wide := func(r, s *big.Int) []byte { return append(fill(r, 33), fill(s, 33)...) }
	plus := func(x, y *big.Int) *big.Int { return new(big.Int).Add(x, y) }
	minus := func(x, y *big.Int) *big.Int { return new(big.Int).Sub(x, y) }
	type bigs = *big.Int
	return []row{
		{"r and s", signed(pair), auth.OK, ""},
		{"r and n-s, which anybody can make of it", signed(func(r, s bigs) []byte { return pair(r, minus(n, s)) }), auth.OK, ""},

		{"r and s zero", signed(func(bigs, bigs) []byte { return pair(zero, zero) }), auth.Signature, ""},
		{"r zero", signed(func(_, s bigs) []byte { return pair(zero, s) }), auth.Signature, ""},
		{"s zero", signed(func(r, _ bigs) []byte { return pair(r, zero) }), auth.Signature, ""},
		{"r and s one", signed(func(bigs, bigs) []byte { return pair(one, one) }), auth.Signature, ""},
		{"r and s n", signed(func(bigs, bigs) []byte { return pair(n, n) }), auth.Signature, ""},
		{"r n", signed(func(_, s bigs) []byte { return pair(n, s) }), auth.Signature, ""},
		{"s n", signed(func(r, _ bigs) []byte { return pair(r, n) }), auth.Signature, ""},
		{"r and s as large as can be", signed(func(bigs, bigs) []byte { return pair(most, most) }), auth.Signature, ""},
		{"r+n, with the byte that it needs", signed(func(r, s bigs) []byte { return wide(plus(r, n), s) }), auth.Signature, ""},
		{"s+n, with the byte that it needs", signed(func(r, s bigs) []byte { return wide(r, plus(s, n)) }), auth.Signature, ""},
		{"s exchanged with r", signed(func(r, s bigs) []byte { return pair(s, r) }), auth.Signature, ""},
		{"r alone", signed(func(r, _ bigs) []byte { return fill(r, 32) }), auth.Signature, ""},
		{"a byte less", signed(func(r, s bigs) []byte { return pair(r, s)[:63] }), auth.Signature, ""},
		{"a byte more", signed(func(r, s bigs) []byte { return append(pair(r, s), 0) }), auth.Signature, ""},
		{"a zero before each", signed(wide), auth.Signature, ""},
		{"the width of P-384", signed(func(r, s bigs) []byte { return append(fill(r, 48), fill(s, 48)...) }), auth.Signature, ""},
		{"twice", signed(func(r, s bigs) []byte { return append(pair(r, s), pair(r, s)...) }), auth.Signature, ""},
		{"8 KiB of zeros", signed(func(bigs, bigs) []byte { return make([]byte, 8<<10) }), auth.Signature, ""},
		{"one byte", signed(func(bigs, bigs) []byte { return []byte{0} }), auth.Signature, ""},
		{"DER", signed(a.der), auth.Signature, ""},
		{"DER of zeros", signed(func(bigs, bigs) []byte { return a.der(zero, zero) }), auth.Signature, ""},
		{"DER, cut to 64 bytes", signed(func(r, s bigs) []byte { return a.der(r, s)[:64] }), auth.Signature, ""},
		{"ES384, r and s zero", a.main.Token(SignedBy(a.es384), signature(func(string, []byte) []byte { return make([]byte, 96) })), auth.Signature, ""},
		{"ES384, the width of P-256", a.main.Token(SignedBy(a.es384), signature(func(_ string, old []byte) []byte { return old[:64] })), auth.Signature, ""},
	}
}

// der is a signature as X.509 and TLS have it.
func (a *Attacks) der(r, s *big.Int) []byte {
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// fill is x in n bytes.
func fill(x *big.Int, n int) []byte { return x.FillBytes(make([]byte, n)) }

// pkcs1: a signature, to the power of e, is one certain block of bytes (RFC
// 8017 section 8.2.2). Whoever takes that block apart instead of comparing it
// finds what is not there; with e = 3 a cube root is then a forgery
// (CVE-2006-4339). The key makes the blocks itself here, so that nothing but
// the block is wrong.
func (a *Attacks) pkcs1() []row {
	size := a.rsa.Size()
	block := func(of func(digest []byte) []byte) string {
		return a.main.Token(SignedBy(a.rs256), signature(func(signed string, _ []byte) []byte {
			digest := sha256.Sum256([]byte(signed))
			return a.private(of(digest[:]))
		}))
	}
	altered := func(of func(signature []byte) []byte) string {
		return a.main.Token(SignedBy(a.rs256), signature(func(_ string, old []byte) []byte { return of(old) }))
	}
	modulus, one := a.rsa.N, big.NewInt(1)
	return []row{
		{"the library's", a.main.Token(SignedBy(a.rs256)), auth.OK, ""},
		{"the block as it must be", block(func(digest []byte) []byte { return padded(size, infoSHA256, digest) }), auth.OK, ""},

		{"garbage behind the digest", block(func(digest []byte) []byte {
			return slices.Concat(padded(90, infoSHA256, digest), random(size-90))
		}), auth.Signature, ""},
		{"garbage within the digest's description", block(func(digest []byte) []byte { return padded(size, a.roomyInfo(100), digest) }), auth.Signature, ""},
		{"no description of the digest", block(func(digest []byte) []byte { return padded(size, digest) }), auth.Signature, ""},
		{"a description without NULL", block(func(digest []byte) []byte { return padded(size, infoBare, digest) }), auth.Signature, ""},
		{"a description with a length in two bytes", block(func(digest []byte) []byte { return padded(size, infoLong, digest) }), auth.Signature, ""},
		{"padding of zeros", block(func(digest []byte) []byte {
			return repad(padded(size, infoSHA256, digest), 0)
		}), auth.Signature, ""},
		{"padding as of an encryption", block(func(digest []byte) []byte {
			block := repad(padded(size, infoSHA256, digest), 0xA5)
			block[1] = 2
			return block
		}), auth.Signature, ""},
		{"one byte of the padding changed", block(func(digest []byte) []byte {
			block := padded(size, infoSHA256, digest)
			block[100] = 0xFE
			return block
		}), auth.Signature, ""},
		{"no zero behind the padding", block(func(digest []byte) []byte {
			block := padded(size, infoSHA256, digest)
			block[bytes.IndexByte(block[1:], 0)+1] = 0xFF
			return block
		}), auth.Signature, ""},
		{"a one for the first zero", block(func(digest []byte) []byte {
			block := padded(size, infoSHA256, digest)
			block[0] = 1
			return block
		}), auth.Signature, ""},
		{"of SHA-512", a.main.Token(ForgedBy(mint.FromSigner("RS512", "", a.rsa)), Header("alg", "RS256"), Header("kid", "rsa")), auth.Signature, ""},
		{"the digest of nothing", block(func([]byte) []byte { d := sha256.Sum256(nil); return padded(size, infoSHA256, d[:]) }), auth.Signature, ""},
		{"PSS", a.main.Token(ForgedBy(a.ps256), Header("alg", "RS256"), Header("kid", "rsa")), auth.Signature, ""},
		{"a cube root, e = 3", a.main.Token(SignedBy(a.rs256), Header("kid", "cube"), signature(func(signed string, _ []byte) []byte {
			digest := sha256.Sum256([]byte(signed))
			return fill(cubeRoot(slices.Concat(padded(62, infoSHA256, digest[:]), random(size-62))), size)
		})), auth.Signature, ""},

		{"zero", altered(func([]byte) []byte { return make([]byte, size) }), auth.Signature, ""},
		{"one", altered(func([]byte) []byte { return fill(one, size) }), auth.Signature, ""},
		{"the modulus", altered(func([]byte) []byte { return fill(modulus, size) }), auth.Signature, ""},
		{"the modulus less one", altered(func([]byte) []byte { return fill(new(big.Int).Sub(modulus, one), size) }), auth.Signature, ""},
		{"all bits set", altered(func([]byte) []byte { return bytes.Repeat([]byte{0xFF}, size) }), auth.Signature, ""},
		{"a modulus more, in as many bytes", a.aboveModulus(), auth.Signature, ""},
		{"a modulus more, in a byte more", altered(func(s []byte) []byte { return fill(new(big.Int).Add(new(big.Int).SetBytes(s), modulus), size+1) }), auth.Signature, ""},
		{"a zero in front", altered(func(s []byte) []byte { return append([]byte{0}, s...) }), auth.Signature, ""},
		{"a zero behind", altered(func(s []byte) []byte { return append(s, 0) }), auth.Signature, ""},
		{"the first byte missing", altered(func(s []byte) []byte { return s[1:] }), auth.Signature, ""},
		{"the last byte missing", altered(func(s []byte) []byte { return s[:size-1] }), auth.Signature, ""},
		{"twice", altered(func(s []byte) []byte { return append(s, s...) }), auth.Signature, ""},
		{"backwards", altered(func(s []byte) []byte { slices.Reverse(s); return s }), auth.Signature, ""},
	}
}

// What stands before a digest of SHA-256 (RFC 8017 section 9.2, note 1), and
// ways of writing it that are not in it.
var (
	infoSHA256 = []byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20")
	infoBare   = []byte("\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20")
	infoLong   = []byte("\x30\x81\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20")
)

// roomyInfo has n bytes of the forger's choice where the NULL is empty.
func (a *Attacks) roomyInfo(n int) []byte {
	algorithm := slices.Concat(infoSHA256[4:15], []byte{5, byte(n)}, random(n))
	return slices.Concat([]byte{0x30, 0x81, byte(len(algorithm) + 36), 0x30, byte(len(algorithm))}, algorithm, infoSHA256[17:])
}

// padded is a block of size bytes that ends in parts.
func padded(size int, parts ...[]byte) []byte {
	end := slices.Concat(parts...)
	return slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xFF}, size-3-len(end)), []byte{0}, end)
}

// repad changes each byte of the padding.
func repad(block []byte, to byte) []byte {
	for i := 2; block[i] == 0xFF; i++ {
		block[i] = to
	}
	return block
}

// private is what makes a signature of a block, whatever that holds.
func (a *Attacks) private(block []byte) []byte {
	return fill(new(big.Int).Exp(new(big.Int).SetBytes(block), a.rsa.D, a.rsa.N), len(block))
}

// aboveModulus has another number with the same remainder, where one of as many
// bytes exists: for some tokens.
func (a *Attacks) aboveModulus() string {
	for {
		fits := false
		token := a.main.Token(SignedBy(a.rs256), signature(func(_ string, old []byte) []byte {
			sum := new(big.Int).Add(new(big.Int).SetBytes(old), a.rsa.N)
			if fits = sum.BitLen() <= 8*len(old); !fits {
				return nil
			}
			return fill(sum, len(old))
		}))
		if fits {
			return token
		}
	}
}

// cubeRoot is the largest number whose cube is not above that of block.
func cubeRoot(block []byte) *big.Int {
	cube, root := new(big.Int).SetBytes(block), new(big.Int)
	for bit := cube.BitLen()/3 + 1; bit >= 0; bit-- {
		root.SetBit(root, bit, 1)
		if new(big.Int).Exp(root, big.NewInt(3), nil).Cmp(cube) > 0 {
			root.SetBit(root, bit, 0)
		}
	}
	return root
}

// pss: the salt is as long as the digest (RFC 7518 section 3.5).
func (a *Attacks) pss() []row {
	token := a.main.Token
	salted := func(length int) string {
		return token(SignedBy(a.ps256), signature(func(signed string, _ []byte) []byte {
			digest := sha256.Sum256([]byte(signed))
			return a.signPSS(crypto.SHA256, digest[:], length)
		}))
	}
	altered := func(of func(signature []byte) []byte) string {
		return token(SignedBy(a.ps256), signature(func(_ string, old []byte) []byte { return of(old) }))
	}
	size := a.rsa.Size()
	return []row{
		{"a salt of 32 bytes", token(SignedBy(a.ps256)), auth.OK, ""},

		{"no salt", salted(0), auth.Signature, ""},
		{"a salt of 20 bytes", salted(20), auth.Signature, ""},
		{"the longest salt", salted(rsa.PSSSaltLengthAuto), auth.Signature, ""},
		{"of SHA-512", token(SignedBy(a.ps256), signature(func(signed string, _ []byte) []byte {
			digest := sha512.Sum512([]byte(signed))
			return a.signPSS(crypto.SHA512, digest[:], 32)
		})), auth.Signature, ""},
		{"PKCS #1", token(ForgedBy(a.rs256), Header("alg", "PS256"), Header("kid", "pss")), auth.Signature, ""},
		{"zero", altered(func([]byte) []byte { return make([]byte, size) }), auth.Signature, ""},
		{"all bits set", altered(func([]byte) []byte { return bytes.Repeat([]byte{0xFF}, size) }), auth.Signature, ""},
		{"random", altered(func([]byte) []byte { return random(size) }), auth.Signature, ""},
		{"a zero in front", altered(func(s []byte) []byte { return append([]byte{0}, s...) }), auth.Signature, ""},
		{"the last byte missing", altered(func(s []byte) []byte { return s[:size-1] }), auth.Signature, ""},
	}
}

func (a *Attacks) signPSS(hash crypto.Hash, digest []byte, salt int) []byte {
	signature, err := rsa.SignPSS(rand.Reader, a.rsa, hash, digest, &rsa.PSSOptions{SaltLength: salt})
	if err != nil {
		a.t.Fatal(err)
	}
	return signature
}

// eddsa: S is below the order of the group (RFC 8032 section 5.1.7), or there
// would be many signatures of one.
func (a *Attacks) eddsa() []row {
	altered := func(of func(signature []byte) []byte) string {
		return a.main.Token(SignedBy(a.ed), signature(func(_ string, old []byte) []byte { return of(old) }))
	}
	return []row{
		{"the key's", a.main.Token(SignedBy(a.ed)), auth.OK, ""},
		{"S with the order added", altered(plusOrder), auth.Signature, ""},
		{"R and S zero", altered(func([]byte) []byte { return make([]byte, 64) }), auth.Signature, ""},
		{"S zero", altered(func(s []byte) []byte { return append(s[:32], make([]byte, 32)...) }), auth.Signature, ""},
		{"R the neutral point, S zero", altered(func([]byte) []byte { return append([]byte{1}, make([]byte, 63)...) }), auth.Signature, ""},
		{"S and R", altered(func(s []byte) []byte { return append(s[32:], s[:32]...) }), auth.Signature, ""},
		{"a byte less", altered(func(s []byte) []byte { return s[:63] }), auth.Signature, ""},
		{"a byte more", altered(func(s []byte) []byte { return append(s, 0) }), auth.Signature, ""},
		{"random", altered(func([]byte) []byte { return random(64) }), auth.Signature, ""},
	}
}

// plusOrder adds the group's order to S, which is little-endian.
func plusOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	order.SetBit(order, 252, 1)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	sum := fill(order.Add(order, new(big.Int).SetBytes(s)), 32)
	slices.Reverse(sum)
	return append(signature[:32:32], sum...)
}

// random returns n bytes that are no signature of anything. The first is not
// zero.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	b[0] |= 1
	return b
}
