package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
)

// controlFields is everything that a control call can be given.
type controlFields struct {
	Namespace string   `json:"namespace"`
	Workload  string   `json:"workload"`
	Reason    string   `json:"reason"`
	Seconds   *float64 `json:"seconds"`
}

// agentState is the answer of GET /state.
type agentState struct {
	ReadyDelaySeconds float64        `json:"readyDelaySeconds"`
	Frozen            bool           `json:"frozen"`
	Broken            []breakage     `json:"broken"`
	Pods              map[string]int `json:"pods"`
}

// serveControl listens on 127.0.0.1 only, since whoever reaches it can break any workload.
func (a *nodeAgent) serveControl(ctx context.Context, address string) (<-chan error, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host != "127.0.0.1" {
		return nil, fmt.Errorf("--control must be 127.0.0.1:PORT, not %q", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	klog.InfoS("control API", "url", "http://"+listener.Addr().String())
	server := &http.Server{Handler: a.controlHandler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return failed, nil
}

func (a *nodeAgent) controlHandler() http.Handler {
	mux := http.NewServeMux()
	for name, act := range map[string]func(controlFields) error{
		"break":       a.controlBreak,
		"repair":      a.controlRepair,
		"ready-delay": a.controlReadyDelay,
		"freeze":      func(controlFields) error { a.settings.freeze(); return nil },
		"thaw":        func(controlFields) error { a.settings.thaw(); return nil },
	} {
		mux.HandleFunc("POST /"+name, func(response http.ResponseWriter, request *http.Request) {
			fields, err := readControlFields(request.Body)
			if err == nil {
				err = act(fields)
			}
			if err != nil {
				answerJSON(response, http.StatusBadRequest, map[string]string{"message": name + ": " + err.Error()})
				return
			}
			answerJSON(response, http.StatusOK, map[string]string{"done": name})
		})
	}
	mux.HandleFunc("GET /state", func(response http.ResponseWriter, _ *http.Request) {
		answerJSON(response, http.StatusOK, a.state())
	})
	mux.HandleFunc("GET /healthz", func(response http.ResponseWriter, _ *http.Request) {
		if !a.synced.Load() {
			http.Error(response, "not everything was listed yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(response, "ok")
	})
	mux.HandleFunc("/", func(response http.ResponseWriter, _ *http.Request) {
		text := "POST to one of: break, freeze, ready-delay, repair, thaw; or GET state, healthz"
		answerJSON(response, http.StatusNotFound, map[string]string{"message": text})
	})
	return mux
}

// readControlFields refuses what it does not know, so that a misspelt field is not taken for an absent one.
func readControlFields(body io.Reader) (controlFields, error) {
	var fields controlFields
	decoder := json.NewDecoder(io.LimitReader(body, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&fields); err != nil && !errors.Is(err, io.EOF) {
		return fields, fmt.Errorf("the body is not a JSON object with known fields: %w", err)
	}
	return fields, nil
}

func (a *nodeAgent) controlBreak(fields controlFields) error {
	if fields.Reason == "" {
		fields.Reason = breakCrash
	}
	if !slices.Contains(breakReasons, fields.Reason) {
		return fmt.Errorf("reason %q is none of %s", fields.Reason, strings.Join(breakReasons, ", "))
	}
	if err := needsWorkload(fields); err != nil {
		return err
	}
	a.settings.breakWorkload(fields.Namespace, fields.Workload, fields.Reason)
	return a.lookAtWorkload(fields)
}

func (a *nodeAgent) controlRepair(fields controlFields) error {
	if err := needsWorkload(fields); err != nil {
		return err
	}
	a.settings.repairWorkload(fields.Namespace, fields.Workload)
	return a.lookAtWorkload(fields)
}

func needsWorkload(fields controlFields) error {
	if fields.Namespace == "" || fields.Workload == "" {
		return errors.New("namespace and workload must be given")
	}
	return nil
}

func (a *nodeAgent) controlReadyDelay(fields controlFields) error {
	if fields.Seconds == nil || *fields.Seconds < 0 || *fields.Seconds > 86400 {
		return errors.New("seconds must be given, from 0 to 86400")
	}
	a.settings.setReadyDelay(time.Duration(*fields.Seconds * float64(time.Second)))
	return nil
}

func (a *nodeAgent) lookAtWorkload(fields controlFields) error {
	pods, err := a.cluster.pods.Pods(fields.Namespace).List(labels.Everything())
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if slices.Contains(workloadsOf(pod), fields.Workload) {
			a.pods.Add(keyOf(pod.Namespace, pod.Name))
		}
	}
	return nil
}

func (a *nodeAgent) state() agentState {
	counts := map[string]int{}
	pods, _ := a.cluster.pods.List(labels.Everything())
	for _, pod := range pods {
		counts[string(pod.Status.Phase)]++
		if isReady(&pod.Status) {
			counts["ready"]++
		}
	}
	return agentState{
		ReadyDelaySeconds: a.settings.currentReadyDelay().Seconds(),
		Frozen:            a.settings.isFrozen(),
		Broken:            a.settings.breakages(),
		Pods:              counts,
	}
}

func answerJSON(response http.ResponseWriter, status int, body any) {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(status)
	_ = json.NewEncoder(response).Encode(body)
}
