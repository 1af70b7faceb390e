package main

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reference is a ConfigMap or Secret that a pod needs in order to start.
type reference struct {
	kind string
	name string
	// keys that must be in it; none: it need only be there.
	keys []string
	// Where it is used: a volume, or the environment of a container.
	volume    string
	container string
	optional  bool
}

// hasKeys answers whether an object is there and which of its keys are missing.
type hasKeys func(kind, name string, keys []string) (found bool, missing []string)

func isSet(flag *bool) bool { return flag != nil && *flag }

// references are all ConfigMaps and Secrets a pod names, in the order in which a kubelet asks for them.
func references(pod *corev1.Pod) []reference {
	var found []reference
	for i := range pod.Spec.Volumes {
		found = append(found, volumeReferences(&pod.Spec.Volumes[i])...)
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			found = append(found, environmentReferences(&containers[i])...)
		}
	}
	return found
}

func volumeReferences(volume *corev1.Volume) []reference {
	var found []reference
	add := func(kind, name string, items []corev1.KeyToPath, optional *bool) {
		var keys []string
		for _, item := range items {
			keys = append(keys, item.Key)
		}
		found = append(found, reference{kind: kind, name: name, keys: keys, volume: volume.Name, optional: isSet(optional)})
	}
	if source := volume.ConfigMap; source != nil {
		add("ConfigMap", source.Name, source.Items, source.Optional)
	}
	if source := volume.Secret; source != nil {
		add("Secret", source.SecretName, source.Items, source.Optional)
	}
	if volume.Projected == nil {
		return found
	}
	for _, part := range volume.Projected.Sources {
		if source := part.ConfigMap; source != nil {
			add("ConfigMap", source.Name, source.Items, source.Optional)
		}
		if source := part.Secret; source != nil {
			add("Secret", source.Name, source.Items, source.Optional)
		}
	}
	return found
}

func environmentReferences(container *corev1.Container) []reference {
	var found []reference
	add := func(kind, name string, keys []string, optional *bool) {
		one := reference{kind: kind, name: name, keys: keys, container: container.Name, optional: isSet(optional)}
		found = append(found, one)
	}
	for _, source := range container.EnvFrom {
		if from := source.ConfigMapRef; from != nil {
			add("ConfigMap", from.Name, nil, from.Optional)
		}
		if from := source.SecretRef; from != nil {
			add("Secret", from.Name, nil, from.Optional)
		}
	}
	for _, entry := range container.Env {
		if entry.ValueFrom == nil {
			continue
		}
		if from := entry.ValueFrom.ConfigMapKeyRef; from != nil {
			add("ConfigMap", from.Name, []string{from.Key}, from.Optional)
		}
		if from := entry.ValueFrom.SecretKeyRef; from != nil {
			add("Secret", from.Name, []string{from.Key}, from.Optional)
		}
	}
	return found
}

// troubleWithReferences is why volumes cannot be mounted ("" if they can), and per container why it cannot be
// configured, in a kubelet's words.
func troubleWithReferences(pod *corev1.Pod, has hasKeys) (mount string, config map[string]string) {
	for _, one := range references(pod) {
		if one.optional {
			continue
		}
		found, missing := has(one.kind, one.name, one.keys)
		if found && len(missing) == 0 {
			continue
		}
		if one.volume != "" {
			if mount == "" {
				mount = fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", one.volume, mountProblem(one, found, missing))
			}
			continue
		}
		if config[one.container] == "" {
			if config == nil {
				config = map[string]string{}
			}
			config[one.container] = configProblem(pod.Namespace, one, found, missing)
		}
	}
	return mount, config
}

func mountProblem(one reference, found bool, missing []string) string {
	switch {
	case !found:
		return notFound(one)
	case one.kind == "Secret":
		return "references non-existent secret key: " + missing[0]
	default:
		return "configmap references non-existent config key: " + missing[0]
	}
}

func configProblem(namespace string, one reference, found bool, missing []string) string {
	if !found {
		return notFound(one)
	}
	return fmt.Sprintf("couldn't find key %s in %s %s/%s", missing[0], one.kind, namespace, one.name)
}

func notFound(one reference) string {
	singular := map[string]string{"ConfigMap": "configmap", "Secret": "secret"}[one.kind]
	return fmt.Sprintf("%s %q not found", singular, one.name)
}

// claimNames are the claims that a pod mounts.
func claimNames(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		if claim := pod.Spec.Volumes[i].PersistentVolumeClaim; claim != nil {
			names = append(names, claim.ClaimName)
		}
	}
	return names
}

// referencedKeys are the index keys of everything that a pod waits for.
func referencedKeys(pod *corev1.Pod) []string {
	var keys []string
	for _, one := range references(pod) {
		keys = append(keys, one.kind+"/"+keyOf(pod.Namespace, one.name))
	}
	for _, name := range claimNames(pod) {
		keys = append(keys, "PersistentVolumeClaim/"+keyOf(pod.Namespace, name))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// lookup answers from what the informers saw.
func (v *clusterView) lookup(namespace string) hasKeys {
	return func(kind, name string, keys []string) (bool, []string) {
		var present func(string) bool
		if kind == "Secret" {
			found, err := v.secrets.Secrets(namespace).Get(name)
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			present = func(key string) bool { _, ok := found.Data[key]; return ok }
		} else {
			found, err := v.configMaps.ConfigMaps(namespace).Get(name)
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			present = func(key string) bool {
				_, text := found.Data[key]
				_, binary := found.BinaryData[key]
				return text || binary
			}
		}
		var missing []string
		for _, key := range keys {
			if !present(key) {
				missing = append(missing, key)
			}
		}
		return true, missing
	}
}
