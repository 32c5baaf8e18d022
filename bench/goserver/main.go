// Command goserver is the usual Go server, as a measure for linegate: a
// goroutine for each connection, two bufio buffers, and a deadline before each
// read. It answers ping with pong and any other line with "from server: " and
// the line. It has no authentication, no limits and no metrics.
//
//	goserver [-cert FILE -key FILE] ADDRESS
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	cert := flag.String("cert", "", "serve TLS with this certificate `file`")
	key := flag.String("key", "", "and this key `file`")
	flag.Parse()
	listener, err := listen(flag.Arg(0), *cert, *key)
	if err != nil {
		fmt.Fprintln(os.Stderr, "goserver:", err)
		os.Exit(1)
	}
	accept(listener)
}

func listen(address, cert, key string) (net.Listener, error) {
	if cert == "" {
		return net.Listen("tcp", address)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{pair}})
}

// accept serves until the listener is closed.
func accept(listener net.Listener) {
	for {
		nc, err := listener.Accept()
		if err != nil {
			return
		}
		go serve(nc)
	}
}

const idleTimeout = 30 * time.Second

// serve answers lines until the client goes, or says nothing for idleTimeout.
// Answers are sent when no further line has come.
func serve(nc net.Conn) {
	defer nc.Close()
	in, out := bufio.NewReader(nc), bufio.NewWriter(nc)
	for {
		if nc.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		line = bytes.TrimSpace(line)
		if string(line) == "ping" {
			out.WriteString("pong\n")
		} else {
			out.WriteString("from server: ")
			out.Write(line)
			out.WriteByte('\n')
		}
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}
