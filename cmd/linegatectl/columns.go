package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// columns writes a table for people, a few rows at a time: a column is as wide
// as the widest cell so far.
type columns struct {
	w      io.Writer
	widths []int
}

func (c *columns) write(rows ...[]string) error {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(c.widths) {
				c.widths = append(c.widths, 0)
			}
			c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i == len(row)-1 {
				b.WriteString(cell + "\n")
				continue
			}
			fmt.Fprintf(&b, "%-*s  ", c.widths[i], cell)
		}
	}
	_, err := io.WriteString(c.w, b.String())
	return err
}

// cell shows what a stranger chose as one word of one line: in Go's quotes
// where it is not one, so that it forges no column and steers no terminal.
func cell(s string) string {
	plain := func(r rune) bool {
		return unicode.IsPrint(r) && r != ' ' && r != '"' && r != '\\' && r != utf8.RuneError
	}
	switch {
	case s == "":
		return "-"
	case s == "-" || strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }):
		return strconv.Quote(s)
	}
	return s
}

// jsonLine is a JSON value on one line, with what does not show escaped: it can
// stand in strings only, where every parser takes an escape for it.
func jsonLine(value json.RawMessage) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range compact.String() {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String(), nil
}
