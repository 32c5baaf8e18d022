package chaos

import "time"

// Faults are what happens to one connection; without any it is passed on as it
// is. Bytes are counted on the way, from 1.
type Faults struct {
	Delay time.Duration // each piece is kept back for so long
	Rate  int           // bytes a second, each way; 0: as they come
	Piece int           // the most bytes passed on at once; 0: 16 KiB

	// CorruptUp and CorruptDown are the numbers of the byte to the target, and
	// of that from it, in which a bit is changed; 0: of none.
	CorruptUp, CorruptDown int64

	End   End   // how it ends before its time
	After int64 // once so many bytes were passed on, both ways together
}

// End is how a connection ends before its time.
type End int

// The ends.
const (
	Lasts     End = iota // it does not
	Cut                  // both sides are closed
	Reset                // both sides are reset
	Forgotten            // nothing is passed on any more, and nobody is told
)

// String names the end for a report.
func (e End) String() string { return [...]string{"lasts", "cut", "reset", "forgotten"}[e] }

func (f Faults) piece() int {
	if f.Piece > 0 {
		return f.Piece
	}
	return 16 << 10
}
