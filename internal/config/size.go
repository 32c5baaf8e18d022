package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int

// Units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var units = []struct {
	name string
	size Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}

// ParseSize reads a plain number of bytes, or a whole number of KiB, MiB or
// GiB.
func ParseSize(s string) (Size, error) {
	digits, unit := s, Size(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || n > uint64(1<<31-1)/uint64(unit) {
		return 0, fmt.Errorf("want a size such as 8KiB, or a number of bytes, got %.64q", s)
	}
	return Size(n) * unit, nil
}

// String writes the size in the largest unit that holds it whole.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.size == 0 {
			return strconv.Itoa(int(s/u.size)) + u.name
		}
	}
	return strconv.Itoa(int(s))
}
