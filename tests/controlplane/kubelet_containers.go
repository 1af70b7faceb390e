package main

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// making is the status of one container, from what it was to what it is now.
type making struct {
	pod       *corev1.Pod
	container *corev1.Container
	view      *podView
	moves     *nextMove
	status    corev1.ContainerStatus
}

func newMaking(
	pod *corev1.Pod, container *corev1.Container, before *corev1.ContainerStatus, initial string,
	view *podView, moves *nextMove,
) *making {
	m := &making{pod: pod, container: container, view: view, moves: moves}
	if before != nil {
		m.status = *before.DeepCopy()
	} else {
		m.status.State.Waiting = &corev1.ContainerStateWaiting{Reason: initial}
		m.status.VolumeMounts = mountStatuses(container)
	}
	if m.status.State.Running != nil && m.status.Image != container.Image {
		m.stop()
	}
	m.status.Name, m.status.Image = container.Name, container.Image
	started := m.status.State.Running != nil
	m.status.Started = &started
	return m
}

// advance moves the container on. Its pod has volumes and an address, and is initialized.
func (m *making) advance() {
	if m.status.State.Terminated != nil && !restarts(m.pod, m.status.State.Terminated.ExitCode) {
		return
	}
	if m.status.State.Running == nil && m.cannotStart() {
		return
	}
	switch m.view.trouble.broken {
	case breakCrash:
		m.crash(1, "Error")
	case breakOOM:
		m.crash(137, "OOMKilled")
	case breakPull:
		m.stop()
		m.failToPull()
	case breakConfig:
		m.stop()
		m.wait(breakConfig, `secret "asked-for-by-a-test" not found`)
	case breakHang:
		m.getReady(false)
	default:
		m.getReady(true)
	}
}

// cannotStart makes it wait when its image or what its configuration refers to is missing.
func (m *making) cannotStart() bool {
	if !canBePulled(m.container.Image) {
		m.failToPull()
		return true
	}
	if problem := m.view.trouble.config[m.container.Name]; problem != "" {
		m.wait(breakConfig, problem)
		return true
	}
	return false
}

// getReady: created, started, ready, and for a pod that is to end: ended. A container with a readiness probe runs for
// half of the time without being ready, any other is ready as soon as it runs.
func (m *making) getReady(well bool) {
	if m.status.State.Running != nil && m.status.Ready && well {
		return
	}
	readyAt := m.view.since.Add(m.view.readyDelay)
	ends := m.pod.Spec.RestartPolicy != corev1.RestartPolicyAlways
	startAt := readyAt
	if m.container.ReadinessProbe != nil || ends {
		startAt = m.view.since.Add(m.view.readyDelay / 2)
	}
	switch {
	case m.status.State.Running == nil && m.view.now.Before(startAt):
		m.moves.at(startAt)
	case m.view.now.Before(readyAt):
		m.run(false)
		m.moves.at(readyAt)
	case !well:
		m.run(false)
	case ends:
		m.run(false)
		m.end(0, "Completed", "")
	default:
		m.run(true)
	}
}

// run is the container running; started now if it was not.
func (m *making) run(ready bool) {
	if m.status.State.Running == nil {
		if ended := m.status.LastTerminationState.Terminated; ended != nil && ended.ContainerID == m.containerID() {
			m.status.RestartCount++
		}
		m.status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: m.view.stamp()}}
	}
	m.exist()
	started := true
	m.status.Ready, m.status.Started = ready, &started
}

// exist fills in what is known of a container that was created.
func (m *making) exist() {
	m.status.ContainerID = m.containerID()
	m.status.ImageID = imageID(m.container.Image)
	m.status.Resources = m.container.Resources.DeepCopy()
	m.status.AllocatedResources = m.container.Resources.Requests.DeepCopy()
}

// end is the container having run to its end for good.
func (m *making) end(exitCode int32, reason, message string) {
	m.exist()
	m.status.State = corev1.ContainerState{Terminated: m.ended(exitCode, reason)}
	m.status.State.Terminated.Message = message
	started := false
	m.status.Started = &started
	// An init container that did its work counts as ready.
	m.status.Ready = exitCode == 0 && m.isInit()
}

func (m *making) ended(exitCode int32, reason string) *corev1.ContainerStateTerminated {
	began := m.view.stamp()
	if m.status.State.Running != nil {
		began = m.status.State.Running.StartedAt
	}
	return &corev1.ContainerStateTerminated{
		ExitCode: exitCode, Reason: reason, StartedAt: began, FinishedAt: m.view.stamp(), ContainerID: m.containerID(),
	}
}

// stop ends a running container that is not to be restarted as it was.
func (m *making) stop() {
	if m.status.State.Running == nil {
		return
	}
	m.status.LastTerminationState = corev1.ContainerState{Terminated: m.ended(0, "Completed")}
	m.wait("ContainerCreating", "")
}

func (m *making) wait(reason, message string) {
	m.status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	started := false
	m.status.Ready, m.status.Started = false, &started
}

// crash lets it start and die, again and again, each time after a longer pause.
func (m *making) crash(exitCode int32, reason string) {
	if m.pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
		m.run(false)
		m.end(exitCode, reason, "")
		return
	}
	last := m.status.LastTerminationState.Terminated
	waits := m.status.State.Waiting != nil && m.status.State.Waiting.Reason == breakCrash && last != nil
	if waits && last.Reason == reason {
		if again := last.FinishedAt.Add(crashPause(m.status.RestartCount)); m.view.now.Before(again) {
			m.moves.at(again)
			return
		}
	}
	// What the first start and end would show lasts a moment only: it is met at its first restart.
	m.status.RestartCount++
	m.exist()
	m.status.LastTerminationState = corev1.ContainerState{Terminated: m.ended(exitCode, reason)}
	pause := crashPause(m.status.RestartCount)
	text := "back-off %s restarting failed container=%s pod=%s"
	m.wait(breakCrash, fmt.Sprintf(text, pause, m.container.Name, podWords(m.pod)))
	m.moves.at(m.view.now.Add(pause))
}

// crashPause doubles from 10 s to 5 min.
func crashPause(restarts int32) time.Duration {
	return min(10*time.Second<<min(max(restarts-1, 0), 10), 5*time.Minute)
}

// failToPull: the first failure is shown for a moment, and then that the kubelet waits before the next try.
func (m *making) failToPull() {
	problem := pullProblem(m.container.Image)
	backsOff := m.view.since.Add(m.view.readyDelay)
	if waiting := m.status.State.Waiting; waiting != nil && waiting.Reason == breakPull && m.view.now.Before(backsOff) {
		return
	}
	if m.view.now.Before(backsOff) {
		m.wait("ErrImagePull", problem)
		m.moves.at(backsOff)
		return
	}
	m.wait(breakPull, fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", m.container.Image, problem))
}

func (m *making) isInit() bool {
	for i := range m.pod.Spec.InitContainers {
		if m.pod.Spec.InitContainers[i].Name == m.container.Name {
			return true
		}
	}
	return false
}

// containerID differs for each restart, and is the same whoever works it out.
func (m *making) containerID() string {
	made := fmt.Sprintf("%s/%s/%d", m.pod.UID, m.container.Name, m.status.RestartCount)
	return fmt.Sprintf("containerd://%x", sha256.Sum256([]byte(made)))
}

func imageID(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	return fmt.Sprintf("%s@sha256:%x", name, sha256.Sum256([]byte(image)))
}

var brokenTag = regexp.MustCompile(`^v?99\.|broken`)

// canBePulled: an image whose tag is like 99.0.0 or has `broken` in it is in no registry.
func canBePulled(image string) bool {
	name, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	return !brokenTag.MatchString(tag)
}

// pullProblem is what containerd says about a tag that is not there.
func pullProblem(image string) string {
	text := "rpc error: code = NotFound desc = failed to pull and unpack image %q: " +
		"failed to resolve reference %q: %s: not found"
	return fmt.Sprintf(text, image, image, image)
}

// podWords is how a kubelet names a pod.
func podWords(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

func mountStatuses(container *corev1.Container) []corev1.VolumeMountStatus {
	var mounts []corev1.VolumeMountStatus
	for _, mount := range container.VolumeMounts {
		one := corev1.VolumeMountStatus{Name: mount.Name, MountPath: mount.MountPath, ReadOnly: mount.ReadOnly}
		if mount.ReadOnly {
			disabled := corev1.RecursiveReadOnlyDisabled
			one.RecursiveReadOnly = &disabled
		}
		mounts = append(mounts, one)
	}
	return mounts
}
