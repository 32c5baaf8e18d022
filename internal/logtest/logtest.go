// Package logtest keeps what is logged, for tests.
package logtest

import (
	"strings"
	"sync"
)

// Log keeps what is written, which may be read meanwhile. Its zero value is empty.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Len is how many bytes there are, for Since to begin at.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// Since returns what came behind the first n bytes.
func (l *Log) Since(n int) string { return l.String()[n:] }

// Take returns all, and leaves nothing.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}
