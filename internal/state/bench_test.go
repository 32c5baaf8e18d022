package state

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
)

// BenchmarkRevoke is one revocation, stored: mostly what the disk takes.
func BenchmarkRevoke(b *testing.B) {
	d := open(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		revoke(b, d, auth.Revocation{Issuer: "https://login.example.com", Subject: fmt.Sprint(i)})
	}
}

// BenchmarkOpen is opening a directory with 100,000 revocations; the memory and
// the disk that each of them takes.
func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	dir := b.TempDir()
	doc := []byte(header)
	for i := range n {
		r := created(Record{
			Revocation: auth.Revocation{
				Issuer: "https://login.example.com", Subject: fmt.Sprintf("subject-%028d", i),
				IssuedBefore: time.Now(), Until: time.Now().Add(time.Hour),
			},
			Reason: "a reason of some length", CreatedBy: operator,
		}, time.Now())
		r.ID = fmt.Sprintf("%016x", i+1)
		doc = append(doc, r.entry()...)
	}
	if err := os.WriteFile(filepath.Join(dir, journalName), doc, fileMode); err != nil {
		b.Fatal(err)
	}
	before := heap()
	d, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	used := heap() - before
	d.Close()
	for b.Loop() {
		d, err := Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
	b.ReportMetric(float64(used)/n, "B-memory/entry")
	b.ReportMetric(float64(len(doc))/n, "B-disk/entry")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
