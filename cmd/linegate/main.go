// Linegate is the gateway: it lets in devices that have an OAuth access token
// and talks lines with them. See linegate --help.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	p := &program{
		environ: os.Environ(),
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		notify:  signal.Notify,
		open:    openApp,
	}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}
