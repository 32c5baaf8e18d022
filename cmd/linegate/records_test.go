package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// records takes the log, line by line.
type records chan []byte

func (r records) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		r <- bytes.Clone(line)
	}
	return len(b), nil
}

// record is what tests want to know of one.
type record struct {
	Time                                           time.Time
	Level, Msg                                     string
	Address, Name, Reason, Error, Signal, Duration string
	Suppressed                                     int
}

// next waits for the next record that has one of these messages.
func (r records) next(t *testing.T, messages ...string) record {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case line, more := <-r:
			if !more {
				t.Fatalf("the log ended without a record %q", messages)
			}
			var next record
			if json.Unmarshal(line, &next) == nil && slices.Contains(messages, next.Msg) {
				return next
			}
		case <-late:
			t.Fatalf("no record %q in a minute", messages)
		}
	}
}
