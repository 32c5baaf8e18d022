package soak

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"sync"
)

// journal reads the log of a gateway and finds what must not be in it.
type journal struct {
	*oracle
	mu       sync.Mutex
	expected map[string]bool // messages of errors
	strange  []string        // lines that are no records
	places   map[string]string
	placed   chan struct{} // closed when all are known
	last     []string      // records
	copy     io.Writer     // of all of it
}

// wanted is how many places a gateway listens at.
const wanted = 6

func newJournal(o *oracle) *journal {
	return &journal{oracle: o, expected: map[string]bool{}, places: map[string]string{}, placed: make(chan struct{}), copy: io.Discard}
}

// expect notes that an error with this message is no surprise from now on.
func (j *journal) expect(message string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.expected[message] = true
}

// place returns where a listener is: its name, "ops" or "admin".
func (j *journal) place(name string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.places[name]
}

// read takes the log until its end.
func (j *journal) read(log io.Reader) {
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			_, _ = io.WriteString(j.copy, line)
			j.judge(strings.TrimSpace(line))
		}
		if err != nil {
			break
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.strange) > 0 { // a race or a panic
		j.blame("the gateway wrote what is no record:\n%s", strings.Join(j.strange, "\n"))
	}
}

// longest is how many lines are kept of what is no record: a few reports of races.
const longest = 200

func (j *journal) judge(line string) {
	var record struct{ Level, Msg, Listener, Address string }
	j.mu.Lock()
	defer j.mu.Unlock()
	if json.Unmarshal([]byte(line), &record) != nil {
		if len(j.strange) < longest {
			j.strange = append(j.strange, line)
		}
		return
	}
	if j.last = append(j.last, line); len(j.last) > 20 {
		j.last = j.last[1:]
	}
	switch record.Msg {
	case "listening":
		j.listens(record.Listener, record.Address)
	case "operator's HTTP":
		j.listens("ops", record.Address)
	case "admin API":
		j.listens("admin", record.Address)
	}
	if strings.Contains(line, "eyJ") { // {" in base64url: what tokens begin with
		j.find("a token in the log: %.200s", line)
	}
	switch record.Level {
	case "ERROR":
		if !j.expected[record.Msg] {
			j.find("logged: %.1000s", line)
		}
		fallthrough
	case "WARN":
		j.count("log: "+record.Level+" "+record.Msg, 1)
	}
}

func (j *journal) listens(name, address string) {
	j.places[name] = address
	if len(j.places) == wanted {
		close(j.placed)
	}
}
