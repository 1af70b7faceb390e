package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	storagehelpers "k8s.io/component-helpers/storage/volume"
)

// What the scheduler adds when it saw no sense in removing other pods, and when it looked for some and found none.
const (
	preemptionUseless = "Preemption is not helpful for scheduling"
	preemptionFailed  = "No preemption victims found for incoming pod"
)

// schedule binds the pod to a node, or says on the pod why not. It is looked at again when a claim, a node or the room
// on the nodes changes.
func (a *nodeAgent) schedule(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	if len(pod.Spec.SchedulingGates) > 0 {
		return 0, nil
	}
	nodes, err := a.cluster.nodes.List(labels.Everything())
	if err != nil {
		return 0, err
	}
	if a.settings.brokenReason(pod) == breakUnschedulable {
		message := unfitMessage(len(nodes), map[string]int{"Insufficient cpu": len(nodes)}, preemptionFailed)
		return 0, a.refuse(ctx, pod, message)
	}
	trouble, waits, err := a.claimTrouble(ctx, pod, len(nodes))
	if err != nil || waits {
		return 0, err
	}
	if trouble != "" {
		return 0, a.refuse(ctx, pod, trouble)
	}
	node, reasons, hopeless := a.room.take(pod, nodes)
	if node == "" {
		preemption := preemptionFailed
		if hopeless {
			preemption = preemptionUseless
		}
		return 0, a.refuse(ctx, pod, unfitMessage(len(nodes), reasons, preemption))
	}
	return 0, a.bind(ctx, pod, node)
}

func (a *nodeAgent) bind(ctx context.Context, pod *corev1.Pod, node string) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	err := a.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	switch {
	case err == nil:
		text := "Successfully assigned %s/%s to %s"
		a.asScheduler.Eventf(pod, corev1.EventTypeNormal, "Scheduled", text, pod.Namespace, pod.Name, node)
		return nil
	case apierrors.IsConflict(err):
		// It is bound already, or another of that name is there: the informer is about to tell.
		return nil
	}
	a.room.release(pod.UID)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// refuse writes the condition that kube-scheduler writes.
func (a *nodeAgent) refuse(ctx context.Context, pod *corev1.Pod, message string) error {
	wanted := corev1.PodCondition{
		Type:               corev1.PodScheduled,
		Status:             corev1.ConditionFalse,
		Reason:             corev1.PodReasonUnschedulable,
		Message:            message,
		ObservedGeneration: pod.Generation,
	}
	status := pod.Status.DeepCopy()
	status.Conditions = withConditions(status.Conditions, time.Now(), wanted)
	changed, err := a.writeStatus(ctx, pod, status)
	if changed {
		a.asScheduler.Event(pod, corev1.EventTypeWarning, "FailedScheduling", message)
	}
	return err
}

// claimTrouble is why the pod's claims keep it from being scheduled, "" if they do not. `waits` when its volumes are
// being made for the node it was given: kube-scheduler says nothing about that.
func (a *nodeAgent) claimTrouble(
	ctx context.Context, pod *corev1.Pod, nodes int,
) (trouble string, waits bool, err error) {
	for _, name := range claimNames(pod) {
		claim, err := a.cluster.claims.PersistentVolumeClaims(pod.Namespace).Get(name)
		if err != nil && !apierrors.IsNotFound(err) {
			return "", false, err
		}
		if err == nil && isUnbound(claim) {
			delayed, err := a.selectNode(ctx, claim)
			if err != nil {
				return "", false, err
			}
			if delayed {
				waits = true
				continue
			}
		}
		if err != nil {
			claim = nil
		}
		if text := claimProblem(claim, name); text != "" {
			return unfitPrefix(nodes) + text + "." + preemptionSuffix(nodes, preemptionUseless), false, nil
		}
	}
	return "", waits, nil
}

func isUnbound(claim *corev1.PersistentVolumeClaim) bool {
	phase := claim.Status.Phase
	return claim.DeletionTimestamp == nil && phase != corev1.ClaimBound && phase != corev1.ClaimLost
}

// claimProblem is kube-scheduler's word on one claim, nil for one that is not there.
func claimProblem(claim *corev1.PersistentVolumeClaim, name string) string {
	switch {
	case claim == nil:
		return fmt.Sprintf("persistentvolumeclaim %q not found", name)
	case claim.Status.Phase == corev1.ClaimLost:
		text := "persistentvolumeclaim %q bound to non-existent persistentvolume %q"
		return fmt.Sprintf(text, name, claim.Spec.VolumeName)
	case claim.DeletionTimestamp != nil:
		return fmt.Sprintf("persistentvolumeclaim %q is being deleted", name)
	case isUnbound(claim):
		return "pod has unbound immediate PersistentVolumeClaims"
	}
	return ""
}

// selectNode lets a claim be provisioned whose class waits for the first pod. It is false for any other.
func (a *nodeAgent) selectNode(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	waits, err := storagehelpers.IsDelayBindingMode(claim, a.cluster.classes)
	if err != nil || !waits || storagehelpers.IsDelayBindingProvisioning(claim) {
		return waits, err
	}
	chosen := claim.DeepCopy()
	metav1.SetMetaDataAnnotation(&chosen.ObjectMeta, storagehelpers.AnnSelectedNode, nodeName(1))
	_, err = a.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, chosen, metav1.UpdateOptions{})
	return true, err
}

// unfitMessage is what kube-scheduler says when every node was looked at: "0/2 nodes are available: 2 Insufficient
// cpu. preemption: ...".
func unfitMessage(nodes int, reasons map[string]int, preemption string) string {
	if len(reasons) == 0 {
		return "no nodes available to schedule pods"
	}
	texts := make([]string, 0, len(reasons))
	for reason, count := range reasons {
		texts = append(texts, fmt.Sprintf("%d %s", count, reason))
	}
	sort.Strings(texts)
	return unfitPrefix(nodes) + strings.Join(texts, ", ") + "." + preemptionSuffix(nodes, preemption)
}

func unfitPrefix(nodes int) string { return fmt.Sprintf("0/%d nodes are available: ", nodes) }

func preemptionSuffix(nodes int, reason string) string {
	return fmt.Sprintf(" preemption: %s%d %s.", unfitPrefix(nodes), nodes, reason)
}
