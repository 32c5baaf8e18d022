package deploy_test

import (
	"errors"
	"io"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// A manifest is what the tests look at of a Kubernetes object.
type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string
	Spec     struct {
		Selector any
		Strategy struct {
			RollingUpdate struct {
				MaxUnavailable int `yaml:"maxUnavailable"`
				MaxSurge       int `yaml:"maxSurge"`
			} `yaml:"rollingUpdate"`
		}
		Ports []struct {
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				SecurityContext               struct {
					RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
					SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
				} `yaml:"securityContext"`
				Containers []struct {
					Env          []struct{ Name, Value string }
					VolumeMounts []struct {
						MountPath string `yaml:"mountPath"`
						ReadOnly  bool   `yaml:"readOnly"`
					} `yaml:"volumeMounts"`
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					Lifecycle       any
					ReadinessProbe  probe `yaml:"readinessProbe"`
					LivenessProbe   probe `yaml:"livenessProbe"`
					SecurityContext struct {
						AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
						ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
						Capabilities             struct{ Drop []string }
					} `yaml:"securityContext"`
				}
				Volumes []struct {
					Projected struct {
						Sources []struct {
							ConfigMap struct{ Name string } `yaml:"configMap"`
						}
					}
				}
			}
		}
	}
}

type probe struct {
	HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
	PeriodSeconds    int                         `yaml:"periodSeconds"`
	TimeoutSeconds   int                         `yaml:"timeoutSeconds"`
	FailureThreshold int                         `yaml:"failureThreshold"`
}

// gatewayConfig is what the tests look at of a gateway's configuration.
type gatewayConfig struct {
	Listen []struct{ Address string }
	Ops    struct{ Address string }
	Drain  struct{ Delay, Timeout time.Duration }
}

func TestKubernetesObjectsAgree(t *testing.T) {
	objects := manifests(t)
	var kinds []string
	for _, object := range objects {
		kinds = append(kinds, object.Kind)
		if object.Kind != "Namespace" && object.Metadata.Namespace != "linegate" {
			t.Errorf("%s %s is in namespace %q, want linegate", object.Kind, object.Metadata.Name, object.Metadata.Namespace)
		}
	}
	// In this order they are applied: what is named before what names it.
	want := []string{"Namespace", "ConfigMap", "Deployment", "Service", "Service", "PodDisruptionBudget", "NetworkPolicy"}
	if !slices.Equal(kinds, want) {
		t.Fatalf("the objects are %v, want %v", kinds, want)
	}

	var config gatewayConfig
	if err := yaml.Unmarshal([]byte(configMap(t)), &config); err != nil {
		t.Fatal(err)
	}
	pod := objects[2].Spec.Template.Spec
	container := pod.Containers[0]

	if volume := pod.Volumes[0].Projected.Sources[0].ConfigMap.Name; volume != objects[1].Metadata.Name {
		t.Errorf("the pod mounts the ConfigMap %q, it is called %q", volume, objects[1].Metadata.Name)
	}

	ports := map[string]int{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
	}
	if got, want := ports["devices"], portOf(t, config.Listen[0].Address); got != want {
		t.Errorf("the port devices is %d, the gateway listens on %d", got, want)
	}
	if got, want := ports["ops"], portOf(t, config.Ops.Address); got != want {
		t.Errorf("the port ops is %d, the gateway's is %d", got, want)
	}
	for path, probe := range map[string]probe{"/readyz": container.ReadinessProbe, "/healthz": container.LivenessProbe} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port != "ops" {
			t.Errorf("a probe asks for %s on %s, want %s on ops", probe.HTTPGet.Path, probe.HTTPGet.Port, path)
		}
	}
	for _, service := range objects[3:5] {
		for key, value := range service.Spec.Selector.(map[string]any) {
			if label := objects[2].Spec.Template.Metadata.Labels[key]; label != value {
				t.Errorf("service %s selects %s=%v, the pod has %q", service.Metadata.Name, key, value, label)
			}
		}
		for _, port := range service.Spec.Ports {
			if ports[port.TargetPort] != port.Port {
				t.Errorf("service %s sends port %d to %q, which is %d", service.Metadata.Name, port.Port, port.TargetPort, ports[port.TargetPort])
			}
		}
	}
}

// TestKubernetesRollingUpdate: a pod goes when its successor is ready; who asks
// /readyz has noticed before its listeners close; and it has time for its drain and
// the second behind it, of which no hook takes any.
func TestKubernetesRollingUpdate(t *testing.T) {
	var config gatewayConfig
	if err := yaml.Unmarshal([]byte(configMap(t)), &config); err != nil {
		t.Fatal(err)
	}
	deployment := manifests(t)[2].Spec
	pod := deployment.Template.Spec
	container := pod.Containers[0]

	if r := deployment.Strategy.RollingUpdate; r.MaxUnavailable != 0 || r.MaxSurge < 1 {
		t.Errorf("a pod goes before its successor is there: %+v", r)
	}
	ready := container.ReadinessProbe
	noticed := time.Duration(ready.PeriodSeconds*ready.FailureThreshold+1) * time.Second // 1 s is the default time-out
	if ready.FailureThreshold == 0 || config.Drain.Delay <= noticed {
		t.Errorf("drain.delay is %v, a probe notices within %v (%+v)", config.Drain.Delay, noticed, ready)
	}
	const spare = 3 * time.Second
	grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second
	if drain := config.Drain.Delay + config.Drain.Timeout + time.Second; grace < drain+spare {
		t.Errorf("terminationGracePeriodSeconds is %v, a drain takes %v", grace, drain)
	}
	if container.Lifecycle != nil {
		t.Errorf("a hook takes of the grace: %v", container.Lifecycle)
	}
	// /healthz answers within 2 s, stuck or not.
	if live := container.LivenessProbe; live.TimeoutSeconds <= 2 {
		t.Errorf("the liveness probe does not wait for its answer: %+v", live)
	}
}

// TestKubernetesPodKeepsState: state_dir is below a volume that can be written
// to, and not the volume itself, which is everybody's.
func TestKubernetesPodKeepsState(t *testing.T) {
	container := manifests(t)[2].Spec.Template.Spec.Containers[0]
	for _, env := range container.Env {
		for _, mount := range container.VolumeMounts {
			if env.Name == "LINEGATE_STATE_DIR" && path.Dir(env.Value) == mount.MountPath && !mount.ReadOnly {
				return
			}
		}
	}
	t.Errorf("no LINEGATE_STATE_DIR below a volume: %v, %v", container.Env, container.VolumeMounts)
}

// TestKubernetesPodIsRestricted holds the pod to what the Pod Security Standard
// "restricted" demands, which the namespace enforces.
func TestKubernetesPodIsRestricted(t *testing.T) {
	pod := manifests(t)[2].Spec.Template.Spec
	container := pod.Containers[0].SecurityContext
	for what, ok := range map[string]bool{
		"runAsNonRoot":                    pod.SecurityContext.RunAsNonRoot,
		"seccompProfile RuntimeDefault":   pod.SecurityContext.SeccompProfile.Type == "RuntimeDefault",
		"allowPrivilegeEscalation: false": container.AllowPrivilegeEscalation != nil && !*container.AllowPrivilegeEscalation,
		"capabilities drop ALL":           slices.Equal(container.Capabilities.Drop, []string{"ALL"}),
		"readOnlyRootFilesystem":          container.ReadOnlyRootFilesystem, // beyond the standard
	} {
		if !ok {
			t.Errorf("the pod lacks %s", what)
		}
	}
}

// configMap returns the gateway's configuration in the ConfigMap.
func configMap(t *testing.T) string {
	t.Helper()
	for _, object := range manifests(t) {
		if object.Kind == "ConfigMap" {
			return object.Data["linegate.yaml"]
		}
	}
	t.Fatal("there is no ConfigMap")
	return ""
}

func manifests(t *testing.T) []manifest {
	t.Helper()
	var objects []manifest
	for decoder := yaml.NewDecoder(strings.NewReader(read(t, "kubernetes/linegate.yaml"))); ; {
		var object manifest
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return number
}
