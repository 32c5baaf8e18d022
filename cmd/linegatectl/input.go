package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxTyped is the longest line that is read from standard input, in bytes; the
// gateway's own limit is told by the client package.
const maxTyped = 1 << 20

// input reads standard input line by line, ahead of what is sent, so that its
// end is known even while there is no session. A last line without an LF is a
// line too.
type input struct {
	lines chan string   // closed after the last
	ended chan struct{} // closed when standard input has ended, however many lines are still in the channel
	err   error         // why reading ended, if not by the end; valid once ended is closed
}

// readAhead is how many lines are read ahead.
const readAhead = 1024

// startInput begins to read. The goroutine ends with r, or when ctx does and
// the next line comes: a read of standard input cannot be interrupted.
func startInput(ctx context.Context, r io.Reader) *input {
	in := &input{lines: make(chan string, readAhead), ended: make(chan struct{})}
	go func() {
		defer close(in.lines)
		defer close(in.ended)
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, maxTyped)
		scanner.Split(splitAtLF)
		for scanner.Scan() {
			select {
			case in.lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		if in.err = scanner.Err(); errors.Is(in.err, bufio.ErrTooLong) {
			in.err = fmt.Errorf("a line has more than %d bytes", maxTyped)
		}
	}()
	return in
}

// splitAtLF is bufio.ScanLines that leaves a CR where it is: it is data.
func splitAtLF(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for i, c := range data {
		if c == '\n' {
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
