package main

import (
	"net/http"
	"sort"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// proxyLogLength is how many calls are remembered one by one.
const proxyLogLength = 100_000

// proxyCallTarget is a call's target with the name of the object.
type proxyCallTarget struct {
	proxyTarget
	Name string `json:"name"`
}

// proxyCall is one call as the client sent it.
type proxyCall struct {
	proxyCallTarget
	Sequence int64 `json:"seq"`
	// Unix seconds.
	Time float64 `json:"time"`
	// 0 while there is no answer, and for ever if the connection ended without one.
	Status int `json:"status"`
	// Seconds from the first byte of the call to the last of the answer; null while it goes on.
	Duration *float64 `json:"duration"`

	begun time.Time
	epoch int
}

type proxyCount struct {
	proxyTarget
	Status int `json:"status"`
	Count  int `json:"count"`
}

type proxyCountKey struct {
	target proxyTarget
	status int
}

// proxyCalls counts calls, and remembers the newest. Safe to use from several goroutines.
type proxyCalls struct {
	infos  *request.RequestInfoFactory
	mutex  sync.Mutex
	counts map[proxyCountKey]int
	// Raised by reset: a call of an older epoch is not counted any more.
	epoch int
	// Ring: the call with sequence s, from 1 on, is at s % proxyLogLength.
	ring []*proxyCall
	last int64
}

func newProxyCalls() *proxyCalls {
	return &proxyCalls{
		infos: &request.RequestInfoFactory{
			APIPrefixes:          sets.NewString("api", "apis"),
			GrouplessAPIPrefixes: sets.NewString("api"),
		},
		counts: map[proxyCountKey]int{},
		ring:   make([]*proxyCall, proxyLogLength),
	}
}

func (c *proxyCalls) targetOf(r *http.Request) proxyCallTarget {
	target := proxyCallTarget{proxyTarget: proxyTarget{UserAgent: r.UserAgent()}}
	info, err := c.infos.NewRequestInfo(r)
	if err != nil || !info.IsResourceRequest {
		target.Name = r.URL.Path
		if info != nil {
			target.Verb = info.Verb
		}
		return target
	}
	target.Verb, target.Resource, target.Subresource = info.Verb, info.Resource, info.Subresource
	target.Namespace, target.Name = info.Namespace, info.Name
	if info.APIGroup != "" {
		target.Resource += "." + info.APIGroup
	}
	return target
}

// begin counts a call that has arrived; it has no answer yet.
func (c *proxyCalls) begin(r *http.Request) *proxyCall {
	begun := time.Now()
	call := &proxyCall{
		proxyCallTarget: c.targetOf(r), begun: begun, Time: float64(begun.UnixMicro()) / 1e6,
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.last++
	call.Sequence, call.epoch = c.last, c.epoch
	c.ring[call.Sequence%proxyLogLength] = call
	c.counts[proxyCountKey{call.proxyTarget, 0}]++
	return call
}

// answer notes the status that a call was answered with.
func (c *proxyCalls) answer(call *proxyCall, status int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	call.Status = status
	if call.epoch != c.epoch {
		return
	}
	open := proxyCountKey{call.proxyTarget, 0}
	if c.counts[open]--; c.counts[open] == 0 {
		delete(c.counts, open)
	}
	c.counts[proxyCountKey{call.proxyTarget, status}]++
}

// end notes that a call is over.
func (c *proxyCalls) end(call *proxyCall) {
	seconds := time.Since(call.begun).Seconds()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	call.Duration = &seconds
}

func (c *proxyCalls) reset() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.epoch++
	c.counts = map[proxyCountKey]int{}
}

// list gives the counts since the last reset, in a fixed order.
func (c *proxyCalls) list() []proxyCount {
	c.mutex.Lock()
	found := make([]proxyCount, 0, len(c.counts))
	for key, count := range c.counts {
		found = append(found, proxyCount{key.target, key.status, count})
	}
	c.mutex.Unlock()
	sort.Slice(found, func(i, j int) bool { return found[i].before(&found[j]) })
	return found
}

func (a *proxyCount) before(b *proxyCount) bool {
	for _, pair := range [][2]string{
		{a.UserAgent, b.UserAgent}, {a.Resource, b.Resource}, {a.Subresource, b.Subresource},
		{a.Verb, b.Verb}, {a.Namespace, b.Namespace},
	} {
		if pair[0] != pair[1] {
			return pair[0] < pair[1]
		}
	}
	return a.Status < b.Status
}

// since gives copies of the calls after a sequence number that are still remembered, oldest first, and the number of
// the newest call of all.
func (c *proxyCalls) since(sequence int64) ([]proxyCall, int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	first := max(sequence+1, c.last-proxyLogLength+1, 1)
	found := make([]proxyCall, 0, max(c.last-first+1, 0))
	for at := first; at <= c.last; at++ {
		found = append(found, *c.ring[at%proxyLogLength])
	}
	return found, c.last
}
