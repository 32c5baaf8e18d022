package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/linegate/linegate/wire"
)

// errLongLine is a line longer than the gateway promised.
var errLongLine = errors.New("the gateway sent a line longer than the protocol allows")

// lineReader splits what the gateway sends at LF, and only there, and holds no
// more of a line than the protocol allows.
type lineReader struct {
	r *bufio.Reader
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 2*wire.MaxControlLine)}
}

// next returns the next line without its LF, in memory of its own. Data lines
// may carry maxText bytes. A line that the end of the stream cut short is
// io.ErrUnexpectedEOF.
func (l *lineReader) next(maxText int) ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		limit := wire.MaxControlLine
		if bytes.HasPrefix(line, []byte(wire.DataPrefix)) {
			limit = max(limit, maxText+wire.DataOverhead)
		}
		switch {
		case len(line) > limit:
			return nil, errLongLine
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
}
