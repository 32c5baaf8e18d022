package deploy_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scrape serves the example configuration, on free ports and with an issuer
// that is not there, and returns what /metrics says. The gateway must then end
// cleanly.
func scrape(t *testing.T, binary string) string {
	t.Helper()
	config := strings.NewReplacer(
		"0.0.0.0:8886", "127.0.0.1:0",
		"0.0.0.0:9885", "127.0.0.1:0",
		"127.0.0.1:9886", "127.0.0.1:0",
		"https://login.example.com", "http://127.0.0.1:1",
		"delay: 5s", "delay: 0s",
	).Replace(read(t, "linegate.yaml"))
	gateway := exec.Command(binary, "serve", "--config", installed(t, config))
	gateway.Env = []string{}
	log, err := gateway.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		gateway.Process.Signal(syscall.SIGTERM)
		io.Copy(io.Discard, log)
		if err := gateway.Wait(); err != nil {
			t.Errorf("linegate serve ended with: %v", err)
		}
	}()

	client := &http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + opsAddress(t, log) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v", resp.Status, err)
	}
	return string(body)
}

// opsAddress reads the log until it tells where the operator's HTTP is.
func opsAddress(t *testing.T, log io.Reader) string {
	t.Helper()
	var said strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var record struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &record) == nil && record.Msg == "operator's HTTP" {
			return record.Address
		}
		said.Write(lines.Bytes())
		said.WriteByte('\n')
	}
	t.Fatalf("linegate serve does not say where its operator's HTTP is:\n%s", said.String())
	return ""
}
