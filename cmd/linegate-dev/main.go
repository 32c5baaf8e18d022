// Command linegate-dev is a laptop's all-in-one: the development authorization
// server, the gateway (plain and TLS), its admin API and its metrics in one
// process, wired together. It is never for production.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	p := program{stdout: os.Stdout, stderr: os.Stderr, signals: signals}
	os.Exit(p.Run(os.Args[1:]))
}
