package main

import (
	"strings"

	"rsc.io/qr"
)

// quietZone is the bright frame that a reader needs, in modules.
const quietZone = 2

// qrCode draws text as a QR code of block characters, two modules of height in
// each. The bright ones are drawn, since most terminals are dark; readers of
// today take it on a bright terminal too, where it is inverted.
func qrCode(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", err
	}
	bright := func(x, y int) bool {
		return y < code.Size+quietZone && !code.Black(x, y)
	}
	var b strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		for x := -quietZone; x < code.Size+quietZone; x++ {
			switch upper, lower := bright(x, y), bright(x, y+1); {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteRune(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}
