package main

import (
	"sort"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
)

// resourceSums are milli-CPUs, bytes and pods.
type resourceSums struct{ cpu, memory, ephemeral, pods int64 }

func (s resourceSums) plus(other resourceSums, sign int64) resourceSums {
	return resourceSums{
		cpu:       s.cpu + sign*other.cpu,
		memory:    s.memory + sign*other.memory,
		ephemeral: s.ephemeral + sign*other.ephemeral,
		pods:      s.pods + sign*other.pods,
	}
}

// nodeRoom keeps what is taken on each node, so that a pod is not bound where it does not fit.
type nodeRoom struct {
	mutex  sync.Mutex
	placed map[types.UID]placedPod
	taken  map[string]resourceSums
	// waiting are the keys of pods that found no room.
	waiting map[string]struct{}
}

type placedPod struct {
	node     string
	requests resourceSums
}

func newNodeRoom() *nodeRoom {
	return &nodeRoom{
		placed:  map[types.UID]placedPod{},
		taken:   map[string]resourceSums{},
		waiting: map[string]struct{}{},
	}
}

// seen takes note of what the API says about a pod. It is true when room became free.
func (r *nodeRoom) seen(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return r.release(pod.UID)
	}
	if pod.Spec.NodeName == "" {
		return false
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.place(pod, pod.Spec.NodeName)
	return false
}

// take finds the emptiest node on which the pod fits and keeps the room for it. Without one it gives the scheduler's
// reasons with the number of nodes each holds for; `hopeless` when the pod would not fit on empty nodes either.
func (r *nodeRoom) take(pod *corev1.Pod, nodes []*corev1.Node) (node string, reasons map[string]int, hopeless bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if placed, ok := r.placed[pod.UID]; ok {
		return placed.node, nil, false
	}
	sorted := append([]*corev1.Node(nil), nodes...)
	sort.Slice(sorted, func(i, j int) bool {
		left, right := r.taken[sorted[i].Name].pods, r.taken[sorted[j].Name].pods
		return left < right || left == right && sorted[i].Name < sorted[j].Name
	})
	requests, reasons, hopeless := requestsOf(pod), map[string]int{}, true
	for _, candidate := range sorted {
		lacking := unfitReasons(pod, candidate, requests, r.taken[candidate.Name])
		if len(lacking) == 0 {
			r.place(pod, candidate.Name)
			return candidate.Name, nil, false
		}
		if len(unfitReasons(pod, candidate, requests, resourceSums{})) == 0 {
			hopeless = false
		}
		for _, reason := range lacking {
			reasons[reason]++
		}
	}
	r.waiting[keyOf(pod.Namespace, pod.Name)] = struct{}{}
	return "", reasons, hopeless
}

// release gives back the room of a pod. It is true when it had some.
func (r *nodeRoom) release(uid types.UID) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	placed, ok := r.placed[uid]
	if ok {
		delete(r.placed, uid)
		r.taken[placed.node] = r.taken[placed.node].plus(placed.requests, -1)
	}
	return ok
}

func (r *nodeRoom) place(pod *corev1.Pod, node string) {
	if before, ok := r.placed[pod.UID]; ok {
		r.taken[before.node] = r.taken[before.node].plus(before.requests, -1)
	}
	placed := placedPod{node: node, requests: requestsOf(pod)}
	r.placed[pod.UID] = placed
	r.taken[node] = r.taken[node].plus(placed.requests, 1)
}

// takeWaiting empties the list of those that found no room.
func (r *nodeRoom) takeWaiting() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	keys := make([]string, 0, len(r.waiting))
	for key := range r.waiting {
		keys = append(keys, key)
	}
	clear(r.waiting)
	return keys
}

func requestsOf(pod *corev1.Pod) resourceSums {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	return resourceSums{
		cpu:       requests.Cpu().MilliValue(),
		memory:    requests.Memory().Value(),
		ephemeral: requests.StorageEphemeral().Value(),
		pods:      1,
	}
}

// unfitReasons are kube-scheduler's words for why a pod does not fit on a node; none if it does.
func unfitReasons(pod *corev1.Pod, node *corev1.Node, requests, taken resourceSums) []string {
	for key, value := range pod.Spec.NodeSelector {
		if node.Labels[key] != value {
			return []string{"node(s) didn't match Pod's node affinity/selector"}
		}
	}
	if node.Spec.Unschedulable {
		return []string{"node(s) were unschedulable"}
	}
	allocatable := node.Status.Allocatable
	left := resourceSums{
		cpu:       allocatable.Cpu().MilliValue(),
		memory:    allocatable.Memory().Value(),
		ephemeral: allocatable.StorageEphemeral().Value(),
		pods:      allocatable.Pods().Value(),
	}.plus(taken, -1)
	var reasons []string
	if requests.pods > left.pods {
		reasons = append(reasons, "Too many pods")
	}
	if requests.cpu > 0 && requests.cpu > left.cpu {
		reasons = append(reasons, "Insufficient cpu")
	}
	if requests.memory > 0 && requests.memory > left.memory {
		reasons = append(reasons, "Insufficient memory")
	}
	if requests.ephemeral > 0 && requests.ephemeral > left.ephemeral {
		reasons = append(reasons, "Insufficient ephemeral-storage")
	}
	return reasons
}
