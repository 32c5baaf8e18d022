//go:build soak

package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gateway is the program, in a process of its own.
type gateway struct {
	*oracle
	t       testing.TB
	process *exec.Cmd
	log     *journal
	ended   chan struct{} // closed when the process is gone, and its log read
	status  error         // of the process; read behind ended
	file    string        // its configuration
	http    http.Client

	scraping sync.Mutex // held by whoever must not be scraped beside
	before   sample     // the last scrape; by the one who scrapes
}

// patience is how long something is waited for that must happen soon.
const patience = 60 * time.Second

// answerWithin is how long a client waits for what must come: longer than a login
// may wait for its key, or an idler for its BYE, with a gateway that is without CPU
// when that begins and when it ends. A round is longer, or nobody waits so long.
const answerWithin = longestIdle + 2*withoutCPU

// build makes the program, under the race detector if this test is.
func build(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "linegate")
	args := []string{"build", "-o", program}
	if raceDetector {
		args = append(args, "-race")
	}
	compile := exec.Command("go", append(args, "../../cmd/linegate")...)
	if said, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	return program
}

// alive ends the test if the gateway has ended, or does not answer: all that
// follows would wait for it, again and again.
func (g *gateway) alive() {
	g.t.Helper()
	select {
	case <-g.ended:
		g.t.Fatalf("the gateway ended before its time: %v", g.status)
	default:
	}
	if _, _, err := g.ask(http.MethodGet, "http://"+g.log.place("ops")+"/healthz", "", ""); err != nil {
		g.signal(syscall.SIGABRT) // it writes where it hangs
		select {
		case <-g.ended:
		case <-time.After(patience):
		}
		g.t.Fatalf("the gateway does not answer: %v", err)
	}
}

// startGateway starts the program with a configuration, and waits until it is
// ready.
func startGateway(t testing.TB, o *oracle, configuration string) *gateway {
	t.Helper()
	g := &gateway{
		oracle: o, t: t, log: newJournal(o), ended: make(chan struct{}),
		file: filepath.Join(t.TempDir(), "linegate.yaml"),
		// A connection of its own each time, so that none is left to count.
		http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience},
	}
	if *logFile != "" {
		file, err := os.Create(*logFile)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		g.log.copy = file
	}
	g.configure(configuration)
	g.process = exec.Command(build(t), "serve", "--config", g.file)
	g.process.Env = append(os.Environ(), "GORACE=exitcode=66")
	g.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive this process
	stderr, err := g.process.StderrPipe()
	if err == nil {
		err = g.process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		g.log.read(stderr)
		g.status = g.process.Wait()
	}()
	t.Cleanup(func() {
		_ = g.process.Process.Kill()
		<-g.ended
		if t.Failed() {
			t.Logf("the last records of the gateway's log:\n%s", strings.Join(g.log.last, "\n"))
		}
	})
	select {
	case <-g.log.placed:
	case <-g.ended:
		t.Fatalf("the gateway did not start: %v\n%s", g.status, strings.Join(append(g.log.strange, g.log.last...), "\n"))
	case <-time.After(patience):
		t.Fatal("the gateway does not say where it listens")
	}
	g.eventually("ready", func() bool {
		status, _, err := g.ask(http.MethodGet, "http://"+g.log.place("ops")+"/readyz", "", "")
		return err == nil && status == http.StatusOK
	})
	return g
}

func (g *gateway) configure(text string) {
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.find("no configuration: %v", err)
	}
}

func (g *gateway) signal(s syscall.Signal) {
	if err := g.process.Process.Signal(s); err != nil {
		g.find("the gateway is gone before its time: %v", err)
	}
}

// ask makes one request of the operator's HTTP or the admin API.
func (g *gateway) ask(method, url, bearer, body string) (status int, answer []byte, err error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := g.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// scrape reads the metrics and has them checked.
func (g *gateway) scrape() sample {
	status, text, err := g.ask(http.MethodGet, "http://"+g.log.place("ops")+"/metrics", "", "")
	if err != nil || status != http.StatusOK {
		g.find("no metrics: status %d, %v", status, err)
		return g.before
	}
	now, err := parse(string(text))
	if err != nil {
		g.find("metrics: %v", err)
		return g.before
	}
	g.check(g.before, now)
	g.before = now
	return now
}

// scrapeEachSecond goes on until stop is closed.
func (g *gateway) scrapeEachSecond(stop <-chan struct{}) {
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for {
		select {
		case <-stop:
			return
		case <-each.C:
			g.scraping.Lock()
			g.scrape()
			g.scraping.Unlock()
		}
	}
}

// eventually polls what no event tells.
func (g *gateway) eventually(what string, holds func() bool) bool {
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.find("not %s within %v", what, patience)
			return false
		}
	}
	return true
}

// sessions returns what the admin API lists: their clients' addresses by their
// ids.
func (g *gateway) sessions(bearer string) map[string]string {
	url := "http://" + g.log.place("admin") + "/v1/sessions?limit=1000"
	status, answer, err := g.ask(http.MethodGet, url, bearer, "")
	var list struct {
		Items []struct{ Session, Remote string }
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &list) != nil {
		g.find("no list of sessions: status %d, %v, %.200s", status, err, answer)
	}
	remotes := map[string]string{}
	for _, item := range list.Items {
		remotes[item.Session] = item.Remote
	}
	return remotes
}

// settle returns what the process holds after a round: the least of some seconds,
// or until it is no more than before, since a fetch of keys may be under way.
func (g *gateway) settle(before *held) (after held) {
	g.t.Helper()
	g.alive()
	g.scraping.Lock()
	defer g.scraping.Unlock()
	after = held{goroutines: math.MaxInt, descriptors: math.Inf(1)}
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		goroutines, stacks := g.goroutines()
		if goroutines < after.goroutines {
			after.goroutines, after.stacks = goroutines, stacks
		}
		after.descriptors = min(after.descriptors, g.scrape().sum("process_open_fds"))
		if before != nil && after.goroutines <= before.goroutines && after.descriptors <= before.descriptors {
			break
		}
		if took := time.Since(begun); before == nil && took > 8*time.Second || took > patience {
			break
		}
	}
	after.resident = g.residentAtRest()
	after.memory = g.memory()
	return after
}

// goroutines returns how many there are, and what they do. Not by go_goroutines: a
// scrape counts those that make it, and they are two more or fewer each time.
func (g *gateway) goroutines() (total int, stacks string) {
	_, profile, err := g.ask(http.MethodGet, "http://"+g.log.place("ops")+"/debug/pprof/goroutine?debug=1", "", "")
	if err == nil {
		_, err = fmt.Sscanf(string(profile), "goroutine profile: total %d", &total)
	}
	if err != nil {
		g.find("no count of goroutines: %v", err)
	}
	return total, string(profile)
}

// residentAtRest has the gateway give back what it does not need, and returns
// what stays resident. It gives back what a burst left when the burst is over
// (see internal/app), so it is scraped until that is much, and then left alone.
func (g *gateway) residentAtRest() int {
	for range 2 { // what pools hold goes with the second collection
		if status, _, err := g.ask(http.MethodGet, "http://"+g.log.place("ops")+"/debug/pprof/heap?gc=1", "", ""); err != nil || status != http.StatusOK {
			g.find("no heap profile: status %d, %v", status, err)
		}
	}
	const burst = 10 << 20
	const allocated = "go_memstats_alloc_bytes_total"
	deadline := time.Now().Add(patience)
	for begun := g.scrape().sum(allocated); g.scrape().sum(allocated) < begun+burst; {
		if time.Now().After(deadline) {
			g.find("scrapes do not allocate %d bytes within %v", burst, patience)
			break
		}
	}
	least := g.resident()
	for range 10 {
		time.Sleep(500 * time.Millisecond)
		least = min(least, g.resident())
	}
	return least
}

// memory tells what the process's memory is used for.
func (g *gateway) memory() string {
	s := g.scrape()
	var parts []string
	for _, name := range []string{"heap_alloc", "heap_inuse", "heap_idle", "heap_released", "stack_inuse", "mspan_inuse", "gc_sys", "buck_hash_sys", "other_sys"} {
		parts = append(parts, fmt.Sprintf("%s %.2f", name, s.sum("go_memstats_"+name+"_bytes")/(1<<20)))
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Process.Pid))
	for _, name := range []string{"RssAnon", "RssFile"} {
		_, rest, _ := strings.Cut(string(status), name+":")
		size, _, _ := strings.Cut(rest, "\n")
		parts = append(parts, name+" "+strings.Join(strings.Fields(size), " "))
	}
	return strings.Join(parts, ", ")
}

// resident does not ask the process itself.
func (g *gateway) resident() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Process.Pid))
	_, rest, found := bytes.Cut(status, []byte("VmRSS:"))
	if err != nil || !found {
		g.t.Fatalf("the gateway is gone: %v", err)
	}
	kilobytes, err := strconv.Atoi(strings.Fields(string(rest))[0])
	if err != nil {
		g.t.Fatal(err)
	}
	return kilobytes << 10
}

// stop drains the gateway, which must be over in time and in order.
func (g *gateway) stop(within time.Duration) {
	g.signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(within):
		g.find("the gateway did not end within %v", within)
		_ = g.process.Process.Kill()
		<-g.ended
	}
	if g.status != nil {
		g.find("the gateway ended with: %v", g.status)
	}
}
