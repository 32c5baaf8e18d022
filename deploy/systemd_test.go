package deploy_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestUnitAgreesWithTheConfiguration: there is time for the drain and the second
// behind it.
func TestUnitAgreesWithTheConfiguration(t *testing.T) {
	config := exampleConfig(t)
	grace := duration(t, "systemd/linegate.service", "TimeoutStopSec")
	if drain := config.Drain.Delay + config.Drain.Timeout + time.Second; grace < drain+3*time.Second {
		t.Errorf("TimeoutStopSec is %v, a drain takes %v", grace, drain)
	}
}

// TestUnitChecksBeforeItReloads: a reload fails when what would be read is wrong.
func TestUnitChecksBeforeItReloads(t *testing.T) {
	const unit = "systemd/linegate.service"
	check := strings.Replace(value(t, unit, "ExecStart"), " serve ", " check-config ", 1)
	if got := value(t, unit, "ExecReload"); got != check {
		t.Errorf("ExecReload=%s, want %s", got, check)
	}
	if output, log := value(t, unit, "StandardOutput"), value(t, unit, "StandardError"); output != "null" || log != "journal" {
		t.Errorf("what would be in force goes to %s, what is wrong to %s", output, log)
	}
}

// TestUnitIsNotified: systemd knows when the gateway is up, reloaded and alive.
func TestUnitIsNotified(t *testing.T) {
	const unit = "systemd/linegate.service"
	if got := value(t, unit, "Type"); got != "notify-reload" {
		t.Errorf("Type=%s", got)
	}
	if strings.Count(read(t, unit), "\nExecReload=") != 1 || strings.Contains(value(t, unit, "ExecReload"), "kill") {
		t.Error("a reload is asked for twice")
	}
	// A look at what may be stuck takes up to 5 s, every 10 s.
	if dog := duration(t, unit, "WatchdogSec"); dog < 20*time.Second {
		t.Errorf("WatchdogSec is %v: a busy machine would be taken for a stuck process", dog)
	}
}

// TestSocketUnit: it listens where the configuration does, and is called what the
// documents call it.
func TestSocketUnit(t *testing.T) {
	const unit = "systemd/linegate.socket"
	if got, want := ":"+value(t, unit, "ListenStream"), exampleConfig(t).Listen[0].Address; !strings.HasSuffix(want, got) {
		t.Errorf("ListenStream=%s, the gateway listens on %s", got[1:], want)
	}
	asked := "address: systemd:" + value(t, unit, "FileDescriptorName")
	for _, page := range []string{unit, "README.md"} {
		if !strings.Contains(read(t, page), asked) {
			t.Errorf("%s does not say %q", page, asked)
		}
	}
}

func exampleConfig(t *testing.T) (config gatewayConfig) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, "linegate.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// value returns what a unit sets a key to.
func value(t *testing.T, unit, key string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(read(t, unit))
	if found == nil {
		t.Fatalf("%s has no %s", unit, key)
	}
	return found[1]
}

func duration(t *testing.T, unit, key string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(value(t, unit, key))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
