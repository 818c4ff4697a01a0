// Package check builds the manifests as kubectl apply -k does, and reads each with the types of the Kubernetes API. It has a module
// of its own, so that what it needs is not among the dependencies of pktvisor.
package check

import (
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// TestManifests: the base builds, each object has only fields that its kind has, and what they refer to exists.
func TestManifests(t *testing.T) {
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "..")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	var agent appsv1.DaemonSet
	var hub appsv1.StatefulSet
	services := map[string]*corev1.Service{}
	for _, o := range objects.Resources() {
		text, err := o.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
		found = append(found, name)
		var into any
		switch o.GetKind() {
		case "Namespace":
			into = &corev1.Namespace{}
		case "DaemonSet":
			into = &agent
		case "StatefulSet":
			into = &hub
		case "Service":
			services[o.GetName()] = &corev1.Service{}
			into = services[o.GetName()]
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	slices.Sort(found)
	want := []string{"DaemonSet pktvisor/pktvisord", "Namespace /pktvisor", "Service pktvisor/pktvisor-hub", "Service pktvisor/pktvisord", "StatefulSet pktvisor/pktvisor-hub"}
	if !slices.Equal(found, want) {
		t.Fatalf("found %v, want %v", found, want)
	}
	for name, pod := range map[string]*corev1.PodTemplateSpec{"pktvisord": &agent.Spec.Template, "pktvisor-hub": &hub.Spec.Template} {
		c := pod.Spec.Containers[0]
		if c.Image != "pktvisor:0.1.0" || len(c.Command) != 1 || c.Command[0] != name {
			t.Errorf("%s runs %v of %s", name, c.Command, c.Image)
		}
		if err := refersTo(pod, services[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.Contains(hub.Spec.Template.Spec.Containers[0].Args, "--agents-srv=_http._tcp.pktvisord.pktvisor.svc.cluster.local") || services["pktvisord"].Spec.ClusterIP != corev1.ClusterIPNone {
		t.Error("the hub does not find the agents")
	}
}

// refersTo checks that a service selects a pod, that its ports and probes are ports of the pod, and that the volumes exist.
func refersTo(pod *corev1.PodTemplateSpec, service *corev1.Service) error {
	c := pod.Spec.Containers[0]
	for key, value := range service.Spec.Selector {
		if pod.Labels[key] != value {
			return fmt.Errorf("the service selects %s=%s, and the pod has %v", key, value, pod.Labels)
		}
	}
	hasPort := func(name string) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	}
	for _, p := range service.Spec.Ports {
		if !hasPort(p.TargetPort.StrVal) {
			return fmt.Errorf("the service needs the port %s", p.TargetPort.StrVal)
		}
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe} {
		if !hasPort(probe.HTTPGet.Port.StrVal) || probe.HTTPGet.Path != "/healthz" {
			return fmt.Errorf("a probe of %s at port %s", probe.HTTPGet.Path, probe.HTTPGet.Port.StrVal)
		}
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) && m.Name != "data" {
			return fmt.Errorf("there is no volume %s", m.Name)
		}
	}
	return nil
}
