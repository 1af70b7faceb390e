package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podView is everything that a pod's status is made from, besides the pod. Nothing below looks at a clock.
type podView struct {
	now time.Time
	// since when its present trouble lasts, or since when there has been none
	since      time.Time
	readyDelay time.Duration
	trouble    podTrouble
	podIP      string
	hostIP     string
}

// podTrouble is what keeps a pod from being well, as far as the pod itself does not show it.
type podTrouble struct {
	// broken is the reason its workload was told to fail with.
	broken string
	// mount is why a volume cannot be set up.
	mount string
	// config says by container why it cannot be configured.
	config map[string]string
}

// key changes when the trouble does. A changed image is a new beginning too.
func (t podTrouble) key(pod *corev1.Pod) string {
	parts := []string{t.broken, t.mount}
	for _, name := range slices.Sorted(maps.Keys(t.config)) {
		parts = append(parts, name, t.config[name])
	}
	for i := range pod.Spec.Containers {
		parts = append(parts, pod.Spec.Containers[i].Image)
	}
	return strings.Join(parts, "\n")
}

func (v *podView) stamp() metav1.Time { return metav1.NewTime(v.now.Truncate(time.Second)) }

// podStatus is the status a kubelet would write now, and how soon another is due by itself (0: never).
func podStatus(pod *corev1.Pod, view podView) (*corev1.PodStatus, time.Duration) {
	status, moves := pod.Status.DeepCopy(), &nextMove{now: view.now}
	status.ObservedGeneration = pod.Generation
	if status.StartTime == nil {
		started := view.stamp()
		status.StartTime = &started
	}
	status.HostIP, status.HostIPs = view.hostIP, []corev1.HostIP{{IP: view.hostIP}}
	hasSandbox := view.trouble.mount == "" || hasBegun(&pod.Status)
	if hasSandbox {
		status.PodIP, status.PodIPs = view.podIP, []corev1.PodIP{{IP: view.podIP}}
	}
	initialized := setInitStatuses(pod, status, &view, hasSandbox, moves)
	setContainerStatuses(pod, status, &view, hasSandbox && initialized, moves)
	status.Phase = phaseOf(pod, status, initialized, false)
	status.Conditions = withConditions(status.Conditions, view.now, conditionsOf(pod, status, hasSandbox, initialized)...)
	return status, moves.wait
}

// nextMove is the earliest of the moments at which something happens by itself.
type nextMove struct {
	now  time.Time
	wait time.Duration
}

func (m *nextMove) at(moment time.Time) {
	wait := max(moment.Sub(m.now), time.Millisecond)
	if m.wait == 0 || wait < m.wait {
		m.wait = wait
	}
}

// hasBegun tells whether a container ever ran: then volumes are mounted, whatever happened to their sources since.
func hasBegun(status *corev1.PodStatus) bool {
	for _, container := range status.ContainerStatuses {
		if container.ContainerID != "" {
			return true
		}
	}
	return false
}

// setInitStatuses lets init containers complete at once, one after the other, unless one cannot start.
func setInitStatuses(pod *corev1.Pod, status *corev1.PodStatus, view *podView, hasSandbox bool, moves *nextMove) bool {
	before := statusByName(pod.Status.InitContainerStatuses)
	status.InitContainerStatuses = nil
	initialized := hasSandbox
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		making := newMaking(pod, container, before[container.Name], "PodInitializing", view, moves)
		switch {
		case !initialized || making.status.State.Terminated != nil:
		case making.cannotStart():
			initialized = false
		case isSidecar(container):
			making.run(true)
		default:
			making.end(0, "Completed", "")
		}
		status.InitContainerStatuses = append(status.InitContainerStatuses, making.status)
	}
	return initialized
}

func setContainerStatuses(pod *corev1.Pod, status *corev1.PodStatus, view *podView, canStart bool, moves *nextMove) {
	before := statusByName(pod.Status.ContainerStatuses)
	status.ContainerStatuses = nil
	initial := "ContainerCreating"
	if len(pod.Spec.InitContainers) > 0 {
		initial = "PodInitializing"
	}
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		making := newMaking(pod, container, before[container.Name], initial, view, moves)
		if canStart {
			making.advance()
		}
		status.ContainerStatuses = append(status.ContainerStatuses, making.status)
	}
	slices.SortFunc(status.ContainerStatuses, func(a, b corev1.ContainerStatus) int {
		return strings.Compare(a.Name, b.Name)
	})
}

func statusByName(statuses []corev1.ContainerStatus) map[string]*corev1.ContainerStatus {
	found := make(map[string]*corev1.ContainerStatus, len(statuses))
	for i := range statuses {
		found[statuses[i].Name] = &statuses[i]
	}
	return found
}

func isSidecar(container *corev1.Container) bool {
	return container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// phaseOf follows the kubelet: Pending until every container has been started once; after that a container that waits
// for its restart does not take the pod back. `ending`: nothing will be restarted.
func phaseOf(pod *corev1.Pod, status *corev1.PodStatus, initialized, ending bool) corev1.PodPhase {
	var waiting, running, stopped, succeeded, final int
	for _, container := range status.ContainerStatuses {
		switch ended := container.LastTerminationState.Terminated; {
		case container.State.Running != nil:
			running++
		case container.State.Terminated != nil:
			stopped++
			if container.State.Terminated.ExitCode == 0 {
				succeeded++
			}
			if !restarts(pod, container.State.Terminated.ExitCode) {
				final++
			}
		case ended != nil:
			stopped++
		default:
			waiting++
		}
	}
	switch {
	case !initialized && running == 0 && stopped == 0, waiting > 0:
		return corev1.PodPending
	case running > 0:
		return corev1.PodRunning
	case !ending && stopped != final:
		return corev1.PodRunning
	case stopped == succeeded:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

func restarts(pod *corev1.Pod, exitCode int32) bool {
	switch pod.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	}
	return true
}

// conditionsOf are the conditions that a kubelet owns, in its order.
func conditionsOf(pod *corev1.Pod, status *corev1.PodStatus, hasSandbox, initialized bool) []corev1.PodCondition {
	sandbox := condition(pod, corev1.PodReadyToStartContainers, hasSandbox, "PodSandboxNotReady", "no pod sandbox exists")
	init := condition(pod, corev1.PodInitialized, true, "", "")
	var incomplete, unready []string
	for i, container := range status.InitContainerStatuses {
		sidecar := isSidecar(&pod.Spec.InitContainers[i])
		if !container.Ready && !sidecar || sidecar && !isSet(container.Started) {
			incomplete = append(incomplete, container.Name)
		}
		if sidecar && !container.Ready {
			unready = append(unready, container.Name)
		}
	}
	if len(incomplete) > 0 && !initialized {
		text := fmt.Sprintf("containers with incomplete status: %s", incomplete)
		init = condition(pod, corev1.PodInitialized, false, "ContainersNotInitialized", text)
	}
	for _, container := range status.ContainerStatuses {
		if !container.Ready {
			unready = append(unready, container.Name)
		}
	}
	reason, text := "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", unready)
	switch status.Phase {
	case corev1.PodSucceeded:
		reason, text = "PodCompleted", ""
		init.Reason = "PodCompleted"
		sandbox = condition(pod, corev1.PodReadyToStartContainers, false, "PodSandboxNotReady", "pod sandbox is not ready")
	case corev1.PodFailed:
		reason, text = "PodFailed", ""
		sandbox = condition(pod, corev1.PodReadyToStartContainers, false, "PodSandboxNotReady", "pod sandbox is not ready")
	}
	return []corev1.PodCondition{
		sandbox,
		init,
		condition(pod, corev1.PodReady, len(unready) == 0, reason, text),
		condition(pod, corev1.ContainersReady, len(unready) == 0, reason, text),
		condition(pod, corev1.PodScheduled, true, "", ""),
	}
}

// condition has a reason and a message only when it is False.
func condition(pod *corev1.Pod, kind corev1.PodConditionType, met bool, reason, message string) corev1.PodCondition {
	if met {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, ObservedGeneration: pod.Generation}
	}
	return corev1.PodCondition{
		Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: pod.Generation,
	}
}

// withConditions replaces those conditions and keeps the others, and the transition time of what stays as it is. A
// kubelet puts its own last.
func withConditions(before []corev1.PodCondition, now time.Time, wanted ...corev1.PodCondition) []corev1.PodCondition {
	kept := slices.Clone(before)
	for _, one := range wanted {
		one.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
		place := slices.IndexFunc(kept, func(other corev1.PodCondition) bool { return other.Type == one.Type })
		if place >= 0 {
			if kept[place].Status == one.Status {
				one.LastTransitionTime = kept[place].LastTransitionTime
			}
			kept = slices.Delete(kept, place, place+1)
		}
		kept = append(kept, one)
	}
	return kept
}

func isReady(status *corev1.PodStatus) bool {
	for _, one := range status.Conditions {
		if one.Type == corev1.PodReady {
			return one.Status == corev1.ConditionTrue
		}
	}
	return false
}
