package app

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/linegate/linegate/internal/logtest"
)

// shortness is told how memory is.
type shortness chan bool

func (s shortness) SetMemoryShort(short bool) {
	select {
	case s <- short:
	default:
	}
}

// TestWatchMemory: the gateway is told again and again how memory is, the operator
// once. Without a limit nobody is told anything.
func TestWatchMemory(t *testing.T) {
	needed := neededMemory()
	for _, test := range []struct {
		name  string
		limit int64
		short bool
	}{
		{"far beyond the limit", needed / 2, true},
		{"far below the limit", needed * 100, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			told, log, ended := make(shortness), new(logtest.Log), make(chan struct{})
			go func() {
				defer close(ended)
				watchMemory(ctx, test.limit, told, slog.New(slog.NewJSONHandler(log, nil)))
			}()
			for range 3 {
				if short := <-told; short != test.short {
					t.Errorf("short: %v", short)
				}
			}
			stop()
			<-ended
			if said := strings.Count(log.String(), "memory is short"); said > 1 || (said == 1) != test.short {
				t.Errorf("the log: %s", log)
			}
		})
	}
	watchMemory(t.Context(), math.MaxInt64, nil, nil) // returns
}
