package main

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// only has objects as "Secret/name" with their keys.
func only(objects map[string][]string) hasKeys {
	return func(kind, name string, keys []string) (bool, []string) {
		present, found := objects[kind+"/"+name]
		var missing []string
		for _, key := range keys {
			if found && !slices.Contains(present, key) {
				missing = append(missing, key)
			}
		}
		return found, missing
	}
}

func withVolume(source corev1.VolumeSource) *corev1.Pod {
	return testPod(func(pod *corev1.Pod) {
		pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: source}}
	})
}

func withEnvironment(from *corev1.EnvVarSource) *corev1.Pod {
	return testPod(func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PLAIN", Value: "x"}, {Name: "X", ValueFrom: from}}
	})
}

func TestWhatCannotBeMountedIsSaidInAKubeletsWords(t *testing.T) {
	yes := true
	named := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	items := []corev1.KeyToPath{{Key: "missing"}}
	there := only(map[string][]string{"Secret/there": {"a"}, "ConfigMap/there": {"a"}})
	for _, one := range []struct {
		source corev1.VolumeSource
		wanted string
	}{
		{
			corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: named("x")}},
			`configmap "x" not found`,
		},
		{corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "x"}}, `secret "x" not found`},
		{corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "x", Optional: &yes}}, ""},
		{corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "there"}}, ""},
		{
			corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "there", Items: items}},
			"references non-existent secret key: missing",
		},
		{
			corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: named("there"), Items: items}},
			"configmap references non-existent config key: missing",
		},
		{
			corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: named("there")}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: named("x")}},
			}}},
			`secret "x" not found`,
		},
		{corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, ""},
	} {
		wanted := one.wanted
		if wanted != "" {
			wanted = `MountVolume.SetUp failed for volume "data" : ` + wanted
		}
		mount, config := troubleWithReferences(withVolume(one.source), there)
		wantEqual(t, "mount", mount, wanted)
		wantEqual(t, "containers concerned", len(config), 0)
	}
}

func TestWhatAnEnvironmentLacksIsSaidForItsContainer(t *testing.T) {
	yes := true
	named := corev1.LocalObjectReference{Name: "sec"}
	key := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named, Key: "k"}}
	optional := &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named, Key: "k", Optional: &yes},
	}
	_, config := troubleWithReferences(withEnvironment(key), only(nil))
	wantEqual(t, "absent", config["web"], `secret "sec" not found`)
	_, config = troubleWithReferences(withEnvironment(key), only(map[string][]string{"Secret/sec": {"other"}}))
	wantEqual(t, "without the key", config["web"], "couldn't find key k in Secret shop/sec")
	_, config = troubleWithReferences(withEnvironment(key), only(map[string][]string{"Secret/sec": {"k"}}))
	wantEqual(t, "with the key", config["web"], "")
	_, config = troubleWithReferences(withEnvironment(optional), only(nil))
	wantEqual(t, "optional", config["web"], "")
	pod := testPod(func(pod *corev1.Pod) {
		from := &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "conf"}}
		pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: from}}
	})
	_, config = troubleWithReferences(pod, only(nil))
	wantEqual(t, "whole ConfigMap", config["web"], `configmap "conf" not found`)
}

func TestAPodIsFoundByEverythingItWaitsFor(t *testing.T) {
	yes := true
	pod := testPod(func(pod *corev1.Pod) {
		claim := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}
		secret := &corev1.SecretVolumeSource{SecretName: "sec", Optional: &yes}
		pod.Spec.Volumes = []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: claim}},
			{VolumeSource: corev1.VolumeSource{Secret: secret}},
			{VolumeSource: corev1.VolumeSource{Secret: secret}},
		}
	})
	wanted := []string{"PersistentVolumeClaim/shop/data", "Secret/shop/sec"}
	if found := referencedKeys(pod); !slices.Equal(found, wanted) {
		t.Errorf("got %v, wanted %v", found, wanted)
	}
}
