package session

import "sync"

// Input buffers come in two sizes: what a read usually brings, and the longest
// line. A session holds one only while it reads or has part of a line.
const smallBuffer = 4 << 10

var smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}

// growBuffer returns buf with room for at least one more byte, up to max bytes
// in all. A line ends before max, so there always is room.
func growBuffer(buf []byte, max int) []byte {
	switch {
	case cap(buf) == 0:
		return smallBuffers.Get().(*[smallBuffer]byte)[:0]
	case len(buf) < cap(buf):
		return buf
	}
	grown := append(make([]byte, 0, max), buf...)
	releaseBuffer(buf)
	return grown
}

// releaseBuffer gives a small buffer back; the rare large one is left to the
// garbage collector.
func releaseBuffer(buf []byte) {
	if cap(buf) == smallBuffer {
		smallBuffers.Put((*[smallBuffer]byte)(buf[:smallBuffer]))
	}
}
