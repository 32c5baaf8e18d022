package main

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// The drawing, read back block by block, is the code in a bright frame of two
// modules.
func TestQRCode(t *testing.T) {
	const text = "http://127.0.0.1:8880/device?user_code=WDJB-MJHT"
	drawn, err := qrCode(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
	if want := (code.Size + 4 + 1) / 2; len(rows) != want {
		t.Fatalf("%d rows, want %d", len(rows), want)
	}
	for i, row := range rows {
		blocks := []rune(row)
		if len(blocks) != code.Size+4 {
			t.Fatalf("row %d has %d blocks, want %d", i, len(blocks), code.Size+4)
		}
		for j, block := range blocks {
			x, y := j-2, 2*i-2
			upper, lower := block == '█' || block == '▀', block == '█' || block == '▄'
			if upper == code.Black(x, y) || y+1 < code.Size+2 && lower == code.Black(x, y+1) {
				t.Fatalf("module %d,%d is %c", x, y, block)
			}
		}
	}
}
