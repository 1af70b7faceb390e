package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// podEvent is something a kubelet says about a pod. Two that are equal are the same occurrence.
type podEvent struct {
	kind    string
	reason  string
	message string
	// restart tells one crash from the next.
	restart int32
}

// podEvents is what there is to say about the pod as it is now.
func podEvents(pod *corev1.Pod, status *corev1.PodStatus, trouble podTrouble) []podEvent {
	var events []podEvent
	if trouble.mount != "" && !hasBegun(status) {
		events = append(events, podEvent{corev1.EventTypeWarning, "FailedMount", trouble.mount, 0})
	}
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range statuses {
			events = append(events, containerEvents(pod, &statuses[i], trouble)...)
		}
	}
	return events
}

func containerEvents(pod *corev1.Pod, status *corev1.ContainerStatus, trouble podTrouble) []podEvent {
	warn := func(reason, message string) podEvent {
		return podEvent{corev1.EventTypeWarning, reason, message, status.RestartCount}
	}
	if status.State.Running != nil {
		events := []podEvent{{corev1.EventTypeNormal, "Started", "Container started", status.RestartCount}}
		if trouble.broken == breakHang && !status.Ready {
			events = append(events, warn("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"))
		}
		return events
	}
	if status.State.Waiting == nil {
		return nil
	}
	switch message := status.State.Waiting.Message; status.State.Waiting.Reason {
	case breakCrash:
		text := fmt.Sprintf("Back-off restarting failed container %s in pod %s", status.Name, podWords(pod))
		return []podEvent{warn("BackOff", text)}
	case "ErrImagePull":
		return []podEvent{
			warn("Failed", fmt.Sprintf("Failed to pull image %q: %s", status.Image, message)),
			warn("Failed", "Error: ErrImagePull"),
		}
	case breakPull:
		return []podEvent{
			{corev1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", status.Image), status.RestartCount},
			warn("Failed", "Error: ImagePullBackOff"),
		}
	case breakConfig:
		return []podEvent{warn("Failed", "Error: "+message)}
	}
	return nil
}

// tell says what was not said before. What is over can be said again when it comes back.
func (a *nodeAgent) tell(pod *corev1.Pod, memory *podMemory, events []podEvent) {
	told := make(map[podEvent]bool, len(events))
	for _, event := range events {
		// After a restart of this process, what stood already is not news.
		news := memory.told != nil || pod.Status.StartTime == nil
		if news && !memory.told[event] {
			a.asKubelet.Event(pod, event.kind, event.reason, event.message)
		}
		told[event] = true
	}
	memory.told = told
}
