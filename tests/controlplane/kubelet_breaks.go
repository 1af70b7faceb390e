package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What a workload can be told to fail with.
const (
	breakCrash         = "CrashLoopBackOff"
	breakOOM           = "OOMKilled"
	breakPull          = "ImagePullBackOff"
	breakConfig        = "CreateContainerConfigError"
	breakUnschedulable = "Unschedulable"
	breakHang          = "hang"
)

var breakReasons = []string{breakCrash, breakOOM, breakPull, breakConfig, breakUnschedulable, breakHang}

// breakage is one workload that was told to fail.
type breakage struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Reason    string `json:"reason"`
}

type workloadName struct{ namespace, name string }

// agentSettings are what the control API sets.
type agentSettings struct {
	mutex      sync.Mutex
	readyDelay time.Duration
	broken     map[workloadName]string
	// thawed is closed while the agent may act.
	thawed chan struct{}
	frozen bool
}

func newAgentSettings(readyDelay time.Duration) *agentSettings {
	thawed := make(chan struct{})
	close(thawed)
	return &agentSettings{readyDelay: readyDelay, broken: map[workloadName]string{}, thawed: thawed}
}

func (s *agentSettings) breakWorkload(namespace, name, reason string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.broken[workloadName{namespace, name}] = reason
}

func (s *agentSettings) repairWorkload(namespace, name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.broken, workloadName{namespace, name})
}

// brokenReason is what the pod's workload was told to fail with, "" for nothing.
func (s *agentSettings) brokenReason(pod *corev1.Pod) string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.broken) == 0 {
		return ""
	}
	for _, name := range workloadsOf(pod) {
		if reason := s.broken[workloadName{pod.Namespace, name}]; reason != "" {
			return reason
		}
	}
	return ""
}

func (s *agentSettings) breakages() []breakage {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found := make([]breakage, 0, len(s.broken))
	for workload, reason := range s.broken {
		found = append(found, breakage{workload.namespace, workload.name, reason})
	}
	slices.SortFunc(found, func(a, b breakage) int {
		return strings.Compare(a.Namespace+"/"+a.Workload, b.Namespace+"/"+b.Workload)
	})
	return found
}

func (s *agentSettings) setReadyDelay(delay time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.readyDelay = delay
}

func (s *agentSettings) currentReadyDelay() time.Duration {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.readyDelay
}

func (s *agentSettings) freeze() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.frozen {
		s.frozen, s.thawed = true, make(chan struct{})
	}
}

func (s *agentSettings) thaw() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.frozen {
		s.frozen = false
		close(s.thawed)
	}
}

func (s *agentSettings) isFrozen() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.frozen
}

// waitUntilThawed is false when everything ends instead.
func (s *agentSettings) waitUntilThawed(ctx context.Context) bool {
	s.mutex.Lock()
	thawed := s.thawed
	s.mutex.Unlock()
	select {
	case <-thawed:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// workloadsOf are the names that stand for a pod: its own, its owner's, and that of the Deployment behind a ReplicaSet.
//
// A ReplicaSet of a Deployment is named after it and the hash that its pods carry as a label. Reading it off there is
// as sure as asking for the ReplicaSet, which may not have been seen yet when its first pod is.
func workloadsOf(pod *corev1.Pod) []string {
	names := []string{pod.Name}
	for _, owner := range pod.OwnerReferences {
		names = append(names, owner.Name)
		hash := pod.Labels["pod-template-hash"]
		if owner.Kind == "ReplicaSet" && hash != "" && strings.HasSuffix(owner.Name, "-"+hash) {
			names = append(names, strings.TrimSuffix(owner.Name, "-"+hash))
		}
	}
	return names
}
