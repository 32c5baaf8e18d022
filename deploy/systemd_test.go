package deploy_test

import (
	"regexp"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestUnitAgreesWithTheConfiguration(t *testing.T) {
	var config gatewayConfig
	if err := yaml.Unmarshal([]byte(read(t, "linegate.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(read(t, "systemd/linegate.service"))
	if found == nil {
		t.Fatal("the unit has no TimeoutStopSec")
	}
	grace, err := time.ParseDuration(found[1])
	if err != nil {
		t.Fatal(err)
	}
	if drain := config.Drain.Delay + config.Drain.Timeout; grace <= drain {
		t.Errorf("TimeoutStopSec is %v, a drain takes %v", grace, drain)
	}
}
