package main

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func agentWith(t *testing.T, pods ...*corev1.Pod) *nodeAgent {
	t.Helper()
	byNamespace := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, byNamespace)
	for _, pod := range pods {
		if err := indexer.Add(pod); err != nil {
			t.Fatal(err)
		}
	}
	agent := &nodeAgent{settings: newAgentSettings(time.Second), pods: newKeyQueue()}
	agent.cluster.pods = corelisters.NewPodLister(indexer)
	t.Cleanup(agent.pods.ShutDown)
	return agent
}

func ask(agent *nodeAgent, method, path, body string) (int, string) {
	answer := httptest.NewRecorder()
	agent.controlHandler().ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer.Code, answer.Body.String()
}

func deploymentPod() *corev1.Pod {
	return testPod(func(pod *corev1.Pod) {
		pod.Labels = map[string]string{"pod-template-hash": "5d8f"}
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-5d8f"}}
	})
}

func TestAPodStandsForItsOwnersAndTheDeploymentBehindThem(t *testing.T) {
	if names := workloadsOf(deploymentPod()); !slices.Equal(names, []string{"web-1", "web-5d8f", "web"}) {
		t.Error(names)
	}
	single := testPod(func(pod *corev1.Pod) {
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", Name: "db"}}
	})
	if names := workloadsOf(single); !slices.Equal(names, []string{"web-1", "db"}) {
		t.Error(names)
	}
}

func TestABrokenWorkloadIsLookedAtAtOnceAndShownUntilItIsRepaired(t *testing.T) {
	agent := agentWith(t, deploymentPod())
	code, text := ask(agent, "POST", "/break", `{"namespace":"shop","workload":"web","reason":"OOMKilled"}`)
	wantEqual(t, text, code, 200)
	wantEqual(t, "reason", agent.settings.brokenReason(deploymentPod()), "OOMKilled")
	key, _ := agent.pods.Get()
	wantEqual(t, "key", key, "shop/web-1")
	agent.pods.Done(key)
	var state agentState
	_, text = ask(agent, "GET", "/state", "")
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "broken", state.Broken[0], breakage{"shop", "web", "OOMKilled"})
	ask(agent, "POST", "/repair", `{"namespace":"shop","workload":"web"}`)
	wantEqual(t, "reason", agent.settings.brokenReason(deploymentPod()), "")
	wantEqual(t, "looked at again", agent.pods.Len(), 1)
}

func TestWhatTheControlDoesNotUnderstandIsRefusedWithASentence(t *testing.T) {
	agent := agentWith(t)
	for _, one := range []struct{ path, body, wanted string }{
		{"/break", `{"namespace":"shop"}`, "namespace and workload must be given"},
		{"/break", `{"namespace":"shop","workload":"web","reason":"tired"}`, "is none of CrashLoopBackOff"},
		{"/break", `{"namespace":"shop","workload":"web","raeson":"hang"}`, "unknown field"},
		{"/repair", `[]`, "not a JSON object"},
		{"/ready-delay", `{}`, "seconds must be given"},
		{"/ready-delay", `{"seconds":-1}`, "from 0 to 86400"},
		{"/ready-delay", `{"seconds":"x"}`, "not a JSON object"},
	} {
		code, text := ask(agent, "POST", one.path, one.body)
		wantEqual(t, one.path+one.body, code, 400)
		if !strings.Contains(text, one.wanted) {
			t.Errorf("%s %s: %s", one.path, one.body, text)
		}
	}
	code, _ := ask(agent, "POST", "/brake", "{}")
	wantEqual(t, "unknown path", code, 404)
}

func TestItIsHealthyOnlyAfterEverythingWasListed(t *testing.T) {
	agent := agentWith(t)
	code, _ := ask(agent, "GET", "/healthz", "")
	wantEqual(t, "before", code, 503)
	agent.synced.Store(true)
	code, _ = ask(agent, "GET", "/healthz", "")
	wantEqual(t, "after", code, 200)
}

func TestNothingGoesOnWhileItIsFrozen(t *testing.T) {
	agent := agentWith(t)
	ask(agent, "POST", "/freeze", "")
	thawed := make(chan bool, 1)
	go func() { thawed <- agent.settings.waitUntilThawed(t.Context()) }()
	select {
	case <-thawed:
		t.Fatal("it went on")
	case <-time.After(20 * time.Millisecond):
	}
	ask(agent, "POST", "/thaw", "")
	wantEqual(t, "goes on", <-thawed, true)
}

func TestTheControlListensOnThisMachineOnly(t *testing.T) {
	if _, err := agentWith(t).serveControl(t.Context(), "0.0.0.0:0"); err == nil {
		t.Error("it listens for everybody")
	}
}
