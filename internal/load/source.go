package load

import (
	"encoding/binary"
	"net/netip"
)

// nextSource returns the next address to connect from; the invalid one leaves
// the choice to the system.
func (p *plan) nextSource() netip.Addr {
	if !p.Source.IsValid() {
		return netip.Addr{}
	}
	return sourceAt(p.Source, p.connections.Add(1)-1)
}

// sourceAt returns address n of a prefix, and begins again after the last; the
// first and the last of it, which are no host's, are left out.
func sourceAt(prefix netip.Prefix, n uint32) netip.Addr {
	bits := 32 - prefix.Bits()
	if bits < 2 {
		return prefix.Addr()
	}
	base := prefix.Masked().Addr().As4()
	host := 1 + n%(1<<bits-2)
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(base[:])|host)))
}
