package main

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func testPod(change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "uid-1", Generation: 3},
		Spec: corev1.PodSpec{
			NodeName:      "node-1",
			RestartPolicy: corev1.RestartPolicyAlways,
			Containers:    []corev1.Container{{Name: "web", Image: "nginx:1.27"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBestEffort},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

// after moves a pod on to that many seconds since its trouble, or the absence of any, began.
func after(pod *corev1.Pod, seconds float64, trouble podTrouble) time.Duration {
	status, again := podStatus(pod, podView{
		now: began.Add(time.Duration(seconds * float64(time.Second))), since: began, readyDelay: 2 * time.Second,
		trouble: trouble, podIP: "10.128.0.1", hostIP: "10.0.0.2",
	})
	pod.Status = *status
	return again
}

func conditionStatus(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, one := range pod.Status.Conditions {
		if one.Type == kind {
			return one
		}
	}
	return corev1.PodCondition{}
}

func waitingReason(pod *corev1.Pod) string {
	if waiting := pod.Status.ContainerStatuses[0].State.Waiting; waiting != nil {
		return waiting.Reason
	}
	return ""
}

func wantEqual[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: got %v, wanted %v", what, got, wanted)
	}
}

func TestAPodIsBeingCreatedUntilTheReadyDelayIsOverAndReadyThen(t *testing.T) {
	pod := testPod(nil)
	again := after(pod, 0, podTrouble{})
	wantEqual(t, "look again in", again, 2*time.Second)
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodPending)
	wantEqual(t, "reason", waitingReason(pod), "ContainerCreating")
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Message, "containers with unready status: [web]")
	again = after(pod, 2, podTrouble{})
	wantEqual(t, "look again in", again, 0)
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodRunning)
	ready := conditionStatus(pod, corev1.PodReady)
	wantEqual(t, "ready", ready.Status, corev1.ConditionTrue)
	wantEqual(t, "ready since", ready.LastTransitionTime.Time, began.Add(2*time.Second))
	wantEqual(t, "observed generation", ready.ObservedGeneration, 3)
	wantEqual(t, "initialized since", conditionStatus(pod, corev1.PodInitialized).LastTransitionTime.Time, began)
	wantEqual(t, "class of service", pod.Status.QOSClass, corev1.PodQOSBestEffort)
}

func TestAReadyPodStaysAsItIsForWhoeverStartsToLookAtItNow(t *testing.T) {
	pod := testPod(nil)
	after(pod, 2, podTrouble{})
	before := pod.Status.DeepCopy()
	after(pod, 0, podTrouble{})
	wantEqual(t, "status", pod.Status.String(), before.String())
}

func TestAContainerWithAReadinessProbeRunsBeforeItIsReady(t *testing.T) {
	pod := testPod(func(pod *corev1.Pod) { pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{} })
	again := after(pod, 1, podTrouble{})
	wantEqual(t, "look again in", again, time.Second)
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodRunning)
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Status, corev1.ConditionFalse)
	after(pod, 2, podTrouble{})
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Status, corev1.ConditionTrue)
}

func TestACrashLoopCountsRestartsAndPausesLongerEachTime(t *testing.T) {
	pod := testPod(nil)
	after(pod, 2, podTrouble{})
	crash := podTrouble{broken: breakCrash}
	again := after(pod, 3, crash)
	status := pod.Status.ContainerStatuses[0]
	wantEqual(t, "look again in", again, 10*time.Second)
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodRunning)
	wantEqual(t, "restarts", status.RestartCount, 1)
	wantEqual(t, "exit code", status.LastTerminationState.Terminated.ExitCode, 1)
	text := "back-off 10s restarting failed container=web pod=web-1_shop(uid-1)"
	wantEqual(t, "message", status.State.Waiting.Message, text)
	after(pod, 12, crash)
	wantEqual(t, "restarts before the pause is over", pod.Status.ContainerStatuses[0].RestartCount, 1)
	again = after(pod, 13, crash)
	wantEqual(t, "restarts after it", pod.Status.ContainerStatuses[0].RestartCount, 2)
	wantEqual(t, "look again in", again, 20*time.Second)
}

func TestACrashedContainerThatIsRepairedRunsOnceMore(t *testing.T) {
	pod := testPod(nil)
	after(pod, 0, podTrouble{broken: breakOOM})
	wantEqual(t, "reason", pod.Status.ContainerStatuses[0].LastTerminationState.Terminated.Reason, "OOMKilled")
	after(pod, 1, podTrouble{})
	wantEqual(t, "until it is ready", waitingReason(pod), breakCrash)
	after(pod, 2, podTrouble{})
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Status, corev1.ConditionTrue)
	wantEqual(t, "restarts", pod.Status.ContainerStatuses[0].RestartCount, 2)
}

func TestTheLongestPauseBetweenCrashesIsFiveMinutes(t *testing.T) {
	for restarts, wanted := range map[int32]time.Duration{
		0: 10 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second,
		5: 160 * time.Second, 6: 5 * time.Minute, 1000: 5 * time.Minute,
	} {
		wantEqual(t, "pause", crashPause(restarts), wanted)
	}
}

func TestAPodThatHangsRunsAndIsNeverReady(t *testing.T) {
	pod := testPod(nil)
	after(pod, 60, podTrouble{broken: breakHang})
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodRunning)
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Status, corev1.ConditionFalse)
}

func TestAnImageThatIsNotThereFailsFirstAndIsBackedOffFromLater(t *testing.T) {
	pod := testPod(func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "grafana/grafana:99.0.0" })
	after(pod, 0, podTrouble{})
	wantEqual(t, "reason", waitingReason(pod), "ErrImagePull")
	after(pod, 2, podTrouble{})
	wantEqual(t, "reason", waitingReason(pod), "ImagePullBackOff")
	message := pod.Status.ContainerStatuses[0].State.Waiting.Message
	if !strings.HasPrefix(message, `Back-off pulling image "grafana/grafana:99.0.0": ErrImagePull: rpc error`) {
		t.Error(message)
	}
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodPending)
}

func TestOnlyTheTagSaysWhetherAnImageCanBePulled(t *testing.T) {
	for image, wanted := range map[string]bool{
		"nginx":                        true,
		"nginx:1.99.0":                 true,
		"nginx:99.0.0":                 false,
		"nginx:v99.1":                  false,
		"nginx:1.2-broken":             false,
		"broken/nginx:1":               true,
		"registry:99/nginx:1":          true,
		"registry:99/nginx":            true,
		"nginx:99.0.0@sha256:0123":     false,
		"nginx@sha256:99.0123":         true,
		"quay.io/prometheus/prom:v3.1": true,
	} {
		wantEqual(t, image, canBePulled(image), wanted)
	}
}

func TestAVolumeThatCannotBeSetUpKeepsThePodFromHavingASandbox(t *testing.T) {
	pod := testPod(nil)
	after(pod, 60, podTrouble{mount: "no"})
	wantEqual(t, "reason", waitingReason(pod), "ContainerCreating")
	wantEqual(t, "sandbox", conditionStatus(pod, corev1.PodReadyToStartContainers).Reason, "PodSandboxNotReady")
	wantEqual(t, "address", pod.Status.PodIP, "")
}

func TestARunningPodDoesNotMissWhatItWasStartedWith(t *testing.T) {
	pod := testPod(nil)
	after(pod, 2, podTrouble{})
	after(pod, 60, podTrouble{mount: "no", config: map[string]string{"web": "no"}})
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Status, corev1.ConditionTrue)
}

func TestInitContainersCompleteBeforeTheOthersStart(t *testing.T) {
	pod := testPod(func(pod *corev1.Pod) {
		always := corev1.ContainerRestartPolicyAlways
		pod.Spec.InitContainers = []corev1.Container{
			{Name: "first", Image: "busybox:1"}, {Name: "side", Image: "busybox:1", RestartPolicy: &always},
		}
	})
	after(pod, 0, podTrouble{config: map[string]string{"first": `secret "x" not found`}})
	text := "containers with incomplete status: [first side]"
	wantEqual(t, "initialized", conditionStatus(pod, corev1.PodInitialized).Message, text)
	wantEqual(t, "reason", waitingReason(pod), "PodInitializing")
	after(pod, 0, podTrouble{})
	wantEqual(t, "initialized", conditionStatus(pod, corev1.PodInitialized).Status, corev1.ConditionTrue)
	wantEqual(t, "first", pod.Status.InitContainerStatuses[0].State.Terminated.Reason, "Completed")
	wantEqual(t, "side", isSet(pod.Status.InitContainerStatuses[1].Started), true)
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodPending)
	after(pod, 2, podTrouble{})
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Status, corev1.ConditionTrue)
}

func TestAPodThatIsNotRestartedSucceedsAfterTheReadyDelay(t *testing.T) {
	pod := testPod(func(pod *corev1.Pod) { pod.Spec.RestartPolicy = corev1.RestartPolicyNever })
	after(pod, 1, podTrouble{})
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodRunning)
	after(pod, 2, podTrouble{})
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodSucceeded)
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Reason, "PodCompleted")
}

func TestACrashIsTheEndOfAPodThatIsNotRestartedAndNotOfOneThatIsOnFailure(t *testing.T) {
	crash := podTrouble{broken: breakCrash}
	pod := testPod(func(pod *corev1.Pod) { pod.Spec.RestartPolicy = corev1.RestartPolicyNever })
	after(pod, 0, crash)
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodFailed)
	wantEqual(t, "exit code", pod.Status.ContainerStatuses[0].State.Terminated.ExitCode, 1)
	pod = testPod(func(pod *corev1.Pod) { pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure })
	after(pod, 0, crash)
	wantEqual(t, "phase", pod.Status.Phase, corev1.PodRunning)
	wantEqual(t, "reason", waitingReason(pod), breakCrash)
}

func TestANewImageRestartsTheContainer(t *testing.T) {
	pod := testPod(nil)
	after(pod, 2, podTrouble{})
	pod.Spec.Containers[0].Image = "nginx:1.28"
	after(pod, 0, podTrouble{})
	wantEqual(t, "ready", conditionStatus(pod, corev1.PodReady).Status, corev1.ConditionFalse)
	after(pod, 2, podTrouble{})
	status := pod.Status.ContainerStatuses[0]
	wantEqual(t, "image", status.Image, "nginx:1.28")
	wantEqual(t, "restarts", status.RestartCount, 1)
	wantEqual(t, "ready", status.Ready, true)
}

func TestAPodThatWasStoppedHasAFinalPhaseAndIsNotReady(t *testing.T) {
	pod := testPod(nil)
	after(pod, 2, podTrouble{})
	status := endedStatus(pod, began.Add(time.Minute))
	wantEqual(t, "phase", status.Phase, corev1.PodSucceeded)
	wantEqual(t, "ready", isReady(status), false)
	pod = testPod(nil)
	after(pod, 0, podTrouble{})
	wantEqual(t, "phase of one that never ran", endedStatus(pod, began).Phase, corev1.PodFailed)
	pod = testPod(nil)
	after(pod, 0, podTrouble{broken: breakCrash})
	wantEqual(t, "phase of one that crashed", endedStatus(pod, began).Phase, corev1.PodFailed)
}

func TestConditionsOfOthersAreKept(t *testing.T) {
	pod := testPod(func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: "example.com/mine", Status: corev1.ConditionTrue}}
	})
	after(pod, 2, podTrouble{})
	wantEqual(t, "condition", pod.Status.Conditions[0].Type, "example.com/mine")
	wantEqual(t, "conditions", len(pod.Status.Conditions), 6)
}

func TestEventsSayWhatIsWrongOncePerRestart(t *testing.T) {
	pod := testPod(nil)
	crash := podTrouble{broken: breakCrash}
	after(pod, 0, crash)
	first := podEvents(pod, &pod.Status, crash)
	wantEqual(t, "event", first[0].message, "Back-off restarting failed container web in pod web-1_shop(uid-1)")
	after(pod, 5, crash)
	wantEqual(t, "in the pause", podEvents(pod, &pod.Status, crash)[0] == first[0], true)
	after(pod, 10, crash)
	wantEqual(t, "after the next crash", podEvents(pod, &pod.Status, crash)[0] == first[0], false)
}
