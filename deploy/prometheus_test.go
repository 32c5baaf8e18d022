package deploy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type alertFile struct {
	Groups []struct {
		Rules []struct {
			Alert       string
			Expr        string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

// TestAlertsSayWhatToDo holds every alert to its texts and to a test (run by
// promtool) in which it fires with the labels that those texts name.
func TestAlertsSayWhatToDo(t *testing.T) {
	fired := firedInTests(t)
	usedLabel := regexp.MustCompile(`\$labels\.(\w+)`)
	for _, group := range alerts(t).Groups {
		for _, rule := range group.Rules {
			if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
				t.Errorf("%s: severity is %q, want critical or warning", rule.Alert, severity)
			}
			for _, text := range []string{"summary", "description", "action"} {
				if rule.Annotations[text] == "" {
					t.Errorf("%s has no %s", rule.Alert, text)
				}
			}
			labels, ok := fired[rule.Alert]
			if !ok {
				t.Errorf("%s fires in no test of alerts_test.yml", rule.Alert)
			}
			for _, text := range rule.Annotations {
				for _, used := range usedLabel.FindAllStringSubmatch(text, -1) {
					if !strings.Contains(labels, used[1]+`="`) {
						t.Errorf("%s: its text uses the label %s, its test sees only %s", rule.Alert, used[1], labels)
					}
				}
			}
		}
	}
}

// firedInTests returns the labels with which each alert fires in
// alerts_test.yml, by the alert's name.
func firedInTests(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Tests []struct {
			Checks []struct {
				Samples []struct{ Labels string } `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/alerts_test.yml")), &file); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`alertname="(\w+)"`)
	fired := map[string]string{}
	for _, test := range file.Tests {
		for _, check := range test.Checks {
			for _, sample := range check.Samples {
				if found := name.FindStringSubmatch(sample.Labels); found != nil {
					fired[found[1]] = sample.Labels
				}
			}
		}
	}
	return fired
}

// alertMetrics returns the gateway's metrics that the alerts ask for.
func alertMetrics(t *testing.T) []string {
	t.Helper()
	metric := regexp.MustCompile(`\b(linegate|process|go)_\w+`)
	var names []string
	for _, group := range alerts(t).Groups {
		for _, rule := range group.Rules {
			names = append(names, metric.FindAllString(rule.Expr, -1)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func alerts(t *testing.T) alertFile {
	t.Helper()
	var file alertFile
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	return file
}
