package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// proxyFault is an error for the calls that match it. The words are those of the sandbox's control API; an absent or
// empty pattern and `*` match everything.
type proxyFault struct {
	Status    int    `json:"status"`
	Verb      string `json:"verb"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// How many calls get it; null for all until cleared. 1 when the field is absent.
	Remaining         *int   `json:"remaining"`
	RetryAfterSeconds *int   `json:"retry_after_seconds"`
	Message           string `json:"message"`
	// The call takes effect and its answer is lost: the connection is closed.
	After bool `json:"after"`
	// The connection is closed before anything happens.
	Drop bool `json:"drop"`
	// Part of the User-Agent.
	UserAgent string `json:"user_agent"`
	// Text instead of a Status, as the API server's own filters answer when there is too much to do.
	Plain bool `json:"plain"`
}

// proxyTarget is what a call is about, as the API server's authorizer sees it.
type proxyTarget struct {
	UserAgent string `json:"user_agent"`
	Verb      string `json:"verb"`
	// `pods`, `deployments.apps`; empty for paths such as /version.
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
}

func parseProxyFault(body []byte) (*proxyFault, error) {
	one := 1
	fault := &proxyFault{Remaining: &one}
	if err := json.Unmarshal(body, fault); err != nil {
		return nil, err
	}
	if !fault.Drop && !fault.After && (fault.Status < 400 || fault.Status > 599) {
		return nil, errors.New("status must be 400 to 599")
	}
	if fault.Remaining != nil && *fault.Remaining < 1 {
		return nil, errors.New("remaining must be at least 1, or null")
	}
	return fault, nil
}

func (f *proxyFault) matches(target *proxyCallTarget) bool {
	return patternMatches(f.Verb, target.Verb) && f.matchesResource(target) &&
		patternMatches(f.Namespace, target.Namespace) && patternMatches(f.Name, target.Name) &&
		(f.UserAgent == "" || f.UserAgent == "*" || strings.Contains(target.UserAgent, f.UserAgent))
}

func patternMatches(pattern, value string) bool {
	return pattern == "" || pattern == "*" || pattern == value
}

func (f *proxyFault) matchesResource(target *proxyCallTarget) bool {
	if target.Subresource != "" {
		plural, _, _ := strings.Cut(target.Resource, ".")
		return patternMatches(f.Resource, target.Resource+"/"+target.Subresource) ||
			f.Resource == plural+"/"+target.Subresource
	}
	plural, _, _ := strings.Cut(target.Resource, ".")
	return patternMatches(f.Resource, target.Resource) || f.Resource == plural
}

// refuse answers with the fault's error in the API server's words.
func (f *proxyFault) refuse(w http.ResponseWriter, target *proxyCallTarget) {
	if f.RetryAfterSeconds != nil {
		w.Header().Set("Retry-After", strconv.Itoa(*f.RetryAfterSeconds))
	}
	status := f.statusError(target).Status()
	if f.Plain {
		http.Error(w, status.Message, f.Status)
		return
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	body, err := json.Marshal(status)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	_, _ = w.Write(body)
}

func (f *proxyFault) statusError(target *proxyCallTarget) *apierrors.StatusError {
	seconds := 0
	if f.RetryAfterSeconds != nil {
		seconds = *f.RetryAfterSeconds
	}
	plural, group, _ := strings.Cut(target.Resource, ".")
	resource := schema.GroupResource{Group: group, Resource: plural}
	var refusal *apierrors.StatusError
	switch f.Status {
	case http.StatusTooManyRequests:
		refusal = apierrors.NewTooManyRequests(f.words("Too many requests, please try again later."), seconds)
	case http.StatusInternalServerError:
		refusal = apierrors.NewInternalError(errors.New(f.words("injected by the proxy")))
	case http.StatusServiceUnavailable:
		refusal = apierrors.NewServiceUnavailable(f.words("the server is currently unable to handle the request"))
	case http.StatusGatewayTimeout:
		refusal = apierrors.NewTimeoutError(f.words("request did not complete within the allotted timeout"), seconds)
	case http.StatusUnauthorized:
		refusal = apierrors.NewUnauthorized(f.words("Unauthorized"))
	case http.StatusForbidden:
		refusal = apierrors.NewForbidden(resource, target.Name, errors.New(f.words("injected by the proxy")))
	case http.StatusGone:
		refusal = apierrors.NewResourceExpired(f.words("The provided resource version is too old."))
	default:
		refusal = apierrors.NewGenericServerResponse(
			f.Status, target.Verb, resource, target.Name, f.Message, seconds, f.Message != "",
		)
	}
	if f.RetryAfterSeconds != nil && refusal.ErrStatus.Details == nil {
		refusal.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(seconds)}
	}
	return refusal
}

func (f *proxyFault) words(usual string) string {
	if f.Message != "" {
		return f.Message
	}
	return usual
}

// proxyFaults is what goes wrong next. Safe to use from several goroutines.
type proxyFaults struct {
	mutex sync.Mutex
	list  []*proxyFault
	gate  *proxyGate
}

func newProxyFaults() *proxyFaults { return &proxyFaults{gate: newProxyGate()} }

func (p *proxyFaults) inject(fault *proxyFault) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.list = append(p.list, fault)
}

func (p *proxyFaults) clear() {
	p.mutex.Lock()
	p.list = nil
	p.mutex.Unlock()
	p.gate.open()
}

// take gives the first fault that is meant for the call, and uses it up by one; nil if none is.
func (p *proxyFaults) take(target *proxyCallTarget) *proxyFault {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for index, fault := range p.list {
		if !fault.matches(target) {
			continue
		}
		if fault.Remaining != nil {
			*fault.Remaining--
			if *fault.Remaining <= 0 {
				p.list = append(p.list[:index:index], p.list[index+1:]...)
			}
		}
		return fault
	}
	return nil
}

// proxyGate lets everything through, or, while closed, nothing.
type proxyGate struct {
	mutex sync.Mutex
	// Closed when the gate opens; nil while it is open.
	opened chan struct{}
}

func newProxyGate() *proxyGate { return &proxyGate{} }

func (g *proxyGate) shut() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *proxyGate) open() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// wait returns nil once the gate is open, and an error when the context ends before.
func (g *proxyGate) wait(ctx context.Context) error {
	g.mutex.Lock()
	opened := g.opened
	g.mutex.Unlock()
	if opened == nil {
		return nil
	}
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return errClientGone
	}
}
