package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func nodeWith(name, cpu, memory, pods string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse(cpu),
			corev1.ResourceMemory: resource.MustParse(memory),
			corev1.ResourcePods:   resource.MustParse(pods),
		}},
	}
}

func asking(uid, cpu, memory string) *corev1.Pod {
	return testPod(func(pod *corev1.Pod) {
		pod.UID, pod.Name, pod.Spec.NodeName = types.UID(uid), uid, ""
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}
	})
}

func TestPodsGoToTheEmptiestNodeUntilNoneHasRoom(t *testing.T) {
	room := newNodeRoom()
	nodes := []*corev1.Node{nodeWith("a", "1", "1Gi", "10"), nodeWith("b", "1", "1Gi", "10")}
	node, _, _ := room.take(asking("p", "600m", "1Mi"), nodes)
	wantEqual(t, "first", node, "a")
	node, _, _ = room.take(asking("q", "600m", "1Mi"), nodes)
	wantEqual(t, "second", node, "b")
	node, reasons, hopeless := room.take(asking("r", "600m", "1Mi"), nodes)
	wantEqual(t, "third", node, "")
	wantEqual(t, "nodes with too little", reasons["Insufficient cpu"], 2)
	wantEqual(t, "hopeless", hopeless, false)
	if !room.release("p") {
		t.Error("the first had room to give back")
	}
	wantEqual(t, "waiting", room.takeWaiting()[0], "shop/r")
	node, _, _ = room.take(asking("r", "600m", "1Mi"), nodes)
	wantEqual(t, "third, later", node, "a")
}

func TestAPodThatEndedTakesNoRoom(t *testing.T) {
	room := newNodeRoom()
	pod := asking("p", "1", "1Mi")
	pod.Spec.NodeName = "a"
	wantEqual(t, "freed", room.seen(pod), false)
	wantEqual(t, "taken", room.taken["a"].cpu, 1000)
	wantEqual(t, "seen twice", room.seen(pod), false)
	wantEqual(t, "taken", room.taken["a"].cpu, 1000)
	pod.Status.Phase = corev1.PodSucceeded
	wantEqual(t, "freed", room.seen(pod), true)
	wantEqual(t, "taken", room.taken["a"], resourceSums{})
}

func TestWhyAPodDoesNotFitIsSaidInTheSchedulersWords(t *testing.T) {
	room := newNodeRoom()
	nodes := []*corev1.Node{nodeWith("a", "1", "1Gi", "10")}
	_, reasons, hopeless := room.take(asking("p", "5", "5Gi"), nodes)
	wantEqual(t, "hopeless", hopeless, true)
	wanted := "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. " +
		"preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	wantEqual(t, "message", unfitMessage(1, reasons, preemptionUseless), wanted)
	selecting := asking("q", "1m", "1Mi")
	selecting.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	_, reasons, _ = room.take(selecting, nodes)
	wantEqual(t, "selector", reasons["node(s) didn't match Pod's node affinity/selector"], 1)
	_, reasons, _ = room.take(asking("r", "1m", "1Mi"), []*corev1.Node{nodeWith("b", "1", "1Gi", "0")})
	wantEqual(t, "pods", reasons["Too many pods"], 1)
	wantEqual(t, "no node at all", unfitMessage(0, nil, preemptionUseless), "no nodes available to schedule pods")
}

func TestWhatAClaimLacksIsSaidInTheSchedulersWords(t *testing.T) {
	now := metav1.Now()
	claim := func(phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: phase}}
	}
	going := claim(corev1.ClaimBound)
	going.DeletionTimestamp = &now
	wantEqual(t, "absent", claimProblem(nil, "c"), `persistentvolumeclaim "c" not found`)
	unbound := claimProblem(claim(corev1.ClaimPending), "c")
	wantEqual(t, "pending", unbound, "pod has unbound immediate PersistentVolumeClaims")
	wantEqual(t, "bound", claimProblem(claim(corev1.ClaimBound), "c"), "")
	wantEqual(t, "going", claimProblem(going, "c"), `persistentvolumeclaim "c" is being deleted`)
}
