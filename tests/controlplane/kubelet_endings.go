package main

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// endedStatus is what a kubelet writes last: every container ended, the phase final.
func endedStatus(pod *corev1.Pod, now time.Time) *corev1.PodStatus {
	status := pod.Status.DeepCopy()
	status.ObservedGeneration = pod.Generation
	stamp := metav1.NewTime(now.Truncate(time.Second))
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range statuses {
			endContainer(&statuses[i], stamp)
		}
	}
	status.Phase = phaseOf(pod, status, true, true)
	if status.Phase == corev1.PodPending {
		status.Phase = corev1.PodFailed
	}
	if pod.Spec.NodeName == "" {
		return status
	}
	status.Conditions = withConditions(status.Conditions, now, conditionsOf(pod, status, false, true)...)
	return status
}

func endContainer(status *corev1.ContainerStatus, stamp metav1.Time) {
	started := false
	status.Started = &started
	if status.State.Terminated != nil {
		return
	}
	// One that never ran stays waiting: there is nothing of it that could have ended.
	status.Ready = false
	switch last := status.LastTerminationState.Terminated; {
	case status.State.Running != nil:
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: status.State.Running.StartedAt, FinishedAt: stamp, ContainerID: status.ContainerID,
		}}
	case last != nil:
		status.State = corev1.ContainerState{Terminated: last.DeepCopy()}
	}
}
