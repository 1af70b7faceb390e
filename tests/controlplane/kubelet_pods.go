package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// podMemory is what the agent remembers of a pod. All of it can be lost: the pod then takes its time once more.
type podMemory struct {
	trouble  string
	since    time.Time
	stopping time.Time
	address  string
	// told are the complaints that were already made as Events.
	told map[podEvent]bool
}

type podMemories struct {
	mutex   sync.Mutex
	pods    map[types.UID]*podMemory
	taken   map[string]types.UID
	counter uint32
}

func newPodMemories() *podMemories {
	return &podMemories{pods: map[types.UID]*podMemory{}, taken: map[string]types.UID{}}
}

// of is only asked by the one worker that holds the pod's key.
func (p *podMemories) of(pod *corev1.Pod) *podMemory {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	memory := p.pods[pod.UID]
	if memory == nil {
		memory = &podMemory{}
		p.pods[pod.UID] = memory
	}
	return memory
}

// address gives the pod an address that no other has. One that it already has is kept.
func (p *podMemories) address(pod *corev1.Pod, memory *podMemory) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if memory.address == "" && pod.Status.PodIP != "" {
		memory.address = pod.Status.PodIP
		p.taken[memory.address] = pod.UID
	}
	for memory.address == "" {
		p.counter++
		number := p.counter % (1 << 22)
		candidate := fmt.Sprintf("10.%d.%d.%d", 128+number>>16, number>>8&255, number&255)
		if _, taken := p.taken[candidate]; !taken {
			memory.address = candidate
			p.taken[candidate] = pod.UID
		}
	}
	return memory.address
}

// remember takes note of the address of a pod from before a restart, so that it is not given out again.
func (p *podMemories) remember(pod *corev1.Pod) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if pod.Status.PodIP != "" {
		p.taken[pod.Status.PodIP] = pod.UID
	}
}

func (p *podMemories) forget(pod *corev1.Pod) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if memory := p.pods[pod.UID]; memory != nil && p.taken[memory.address] == pod.UID {
		delete(p.taken, memory.address)
	}
	if p.taken[pod.Status.PodIP] == pod.UID {
		delete(p.taken, pod.Status.PodIP)
	}
	delete(p.pods, pod.UID)
}

// syncPod moves one pod on.
func (a *nodeAgent) syncPod(ctx context.Context, key string) (time.Duration, error) {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return 0, nil
	}
	pod, err := a.cluster.pods.Pods(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	switch {
	case pod.DeletionTimestamp != nil:
		return a.stopPod(ctx, pod, ended)
	case ended:
		return 0, nil
	case pod.Spec.NodeName == "":
		return a.schedule(ctx, pod)
	case a.settings.brokenReason(pod) == breakUnschedulable:
		// A pod on a node cannot lose its place. What its workload would see of a full cluster begins like this.
		return 0, a.deletePod(ctx, pod, nil)
	}
	return a.runPod(ctx, pod)
}

func (a *nodeAgent) runPod(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	memory, now := a.memories.of(pod), time.Now()
	mount, config := troubleWithReferences(pod, a.cluster.lookup(pod.Namespace))
	trouble := podTrouble{broken: a.settings.brokenReason(pod), mount: mount, config: config}
	if key := trouble.key(pod); memory.since.IsZero() || memory.trouble != key {
		memory.trouble, memory.since = key, now
	}
	view := podView{
		now: now, since: memory.since, readyDelay: a.settings.currentReadyDelay(), trouble: trouble,
		podIP: a.memories.address(pod, memory), hostIP: a.nodeAddress(pod.Spec.NodeName),
	}
	status, again := podStatus(pod, view)
	if _, err := a.writeStatus(ctx, pod, status); err != nil {
		return 0, err
	}
	a.tell(pod, memory, podEvents(pod, status, trouble))
	return again, nil
}

func (a *nodeAgent) nodeAddress(name string) string {
	if node, err := a.cluster.nodes.Get(name); err == nil && len(node.Status.Addresses) > 0 {
		return node.Status.Addresses[0].Address
	}
	return nodeAddress(1)
}

// writeStatus is true when there was something to write. A write on top of what was not seen is refused by the API
// server, since the object carries its resourceVersion; the key then comes again.
func (a *nodeAgent) writeStatus(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus) (bool, error) {
	if apiequality.Semantic.DeepEqual(&pod.Status, status) {
		return false, nil
	}
	changed := *pod
	changed.Status = *status
	options := metav1.UpdateOptions{FieldManager: "kubelet"}
	_, err := a.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, &changed, options)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// stopPod ends a pod: its containers stop, that is written down, and then it is removed.
func (a *nodeAgent) stopPod(ctx context.Context, pod *corev1.Pod, ended bool) (time.Duration, error) {
	grace := int64(0)
	if pod.DeletionGracePeriodSeconds != nil {
		grace = *pod.DeletionGracePeriodSeconds
	}
	if ended && grace == 0 {
		// Finalizers hold it: they are others' business.
		return 0, nil
	}
	memory, now := a.memories.of(pod), time.Now()
	if memory.stopping.IsZero() {
		memory.stopping = now
	}
	stopped := memory.stopping.Add(min(a.stopDelay, time.Duration(grace)*time.Second))
	if now.Before(stopped) {
		return stopped.Sub(now), nil
	}
	if !ended {
		// The deletion follows when this write is seen.
		_, err := a.writeStatus(ctx, pod, endedStatus(pod, now))
		return 0, err
	}
	none := int64(0)
	return 0, a.deletePod(ctx, pod, &none)
}

func (a *nodeAgent) deletePod(ctx context.Context, pod *corev1.Pod, grace *int64) error {
	options := metav1.DeleteOptions{
		GracePeriodSeconds: grace,
		Preconditions:      metav1.NewUIDPreconditions(string(pod.UID)),
	}
	err := a.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
