package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// facts tells where, when and with what the table was made.
func (b *bench) facts(ctx context.Context, rounds int) string {
	size := "in full"
	if b.scale.quick {
		size = "a quick run with small counts, which says less"
	}
	facts := []string{
		fmt.Sprintf("Measured on %s, %s. %s.", time.Now().UTC().Format(time.DateOnly), size, medians(rounds)),
		fmt.Sprintf("Machine: %d cores of %s, %s of memory, %s, load average %s at the start, %s open files.",
			runtime.NumCPU(), field("/proc/cpuinfo", "model name"), gibibytes(field("/proc/meminfo", "MemTotal")),
			"Linux "+firstLine("/proc/sys/kernel/osrelease"), loadAverage(), openFiles()),
		"Versions: " + strings.Join(b.versions(ctx), "; ") + ".",
	}
	return strings.Join(facts, "\n") + "\n\n"
}

func medians(rounds int) string {
	if rounds == 1 {
		return "One round"
	}
	return fmt.Sprintf("Medians of %d rounds", rounds)
}

func (b *bench) versions(ctx context.Context) []string {
	versions := []string{output(ctx, filepath.Join(b.bin, "linegate"), "version")}
	for _, program := range [][]string{{"redis-server", "--version"}, {"nats-server", "--version"}, {"cc", "--version"}} {
		if v := output(ctx, program...); v != "" {
			versions = append(versions, v)
		}
	}
	return versions
}

// field is a line "name : value" of a file in /proc.
func field(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func gibibytes(kib string) string {
	var n float64
	if _, err := fmt.Sscanf(kib, "%f kB", &n); err != nil {
		return kib
	}
	return fmt.Sprintf("%.0f GiB", n/(1<<20))
}

func loadAverage() string {
	one, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return one
}

func openFiles() string {
	for line := range strings.Lines(wholeFile("/proc/self/limits")) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if fields := strings.Fields(rest); len(fields) > 1 {
				return fields[1]
			}
		}
	}
	return "unknown"
}

func wholeFile(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(text)
}
