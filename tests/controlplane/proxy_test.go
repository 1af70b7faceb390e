package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const applyPath = "/apis/apps/v1/namespaces/demo/statefulsets/prod-loki?fieldManager=x"

// proxied is a backend, a proxy before it, its control API, and a client of the proxy.
type proxied struct {
	testing.TB
	backend *httptest.Server
	url     string
	control *httptest.Server
	client  *http.Client
	served  chan string
}

func newProxied(t testing.TB) *proxied {
	t.Helper()
	served := make(chan string, 100)
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case served <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization"):
		default: // Nobody looks at the hundred before.
		}
		if r.URL.Query().Get("watch") != "" {
			for number := 0; r.Context().Err() == nil; number++ {
				fmt.Fprintf(w, "%d\n", number)
				w.(http.Flusher).Flush()
				time.Sleep(2 * time.Millisecond)
			}
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.Copy(w, r.Body)
	}))
	backend.StartTLS()
	t.Cleanup(backend.Close)
	roots := x509.NewCertPool()
	roots.AddCert(backend.Certificate())
	target, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newFaultProxy(target, &tls.Config{RootCAs: roots})
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := proxy.server(backend.TLS.Certificates[0])
	go func() { _ = server.ServeTLS(proxy.conns.track(front), "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	control := httptest.NewServer(proxy.controlAPI())
	t.Cleanup(control.Close)
	return &proxied{t, backend, "https://" + front.Addr().String(), control, clientOf(roots, false), served}
}

func clientOf(roots *x509.CertPool, http2 bool) *http.Client {
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2},
	}
}

func (p *proxied) tell(path string, fields map[string]any) string {
	p.Helper()
	body, _ := json.Marshal(fields)
	answer, err := http.Post(p.control.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s", answer.StatusCode, text)
	}
	return string(text)
}

func (p *proxied) ask(path string, into any) {
	p.Helper()
	answer, err := http.Get(p.control.URL + path)
	if err != nil {
		p.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		p.Fatal(err)
	}
}

func (p *proxied) send(method, path string) (*http.Response, error) {
	request, err := http.NewRequest(method, p.url+path, strings.NewReader("sent"))
	if err != nil {
		p.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer abc")
	request.Header.Set("User-Agent", "stackledger/1")
	return p.client.Do(request)
}

func (p *proxied) mustSend(method, path string) (int, string) {
	p.Helper()
	answer, err := p.send(method, path)
	if err != nil {
		p.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

func (p *proxied) counts() []proxyCount {
	p.Helper()
	var counts []proxyCount
	p.ask("/counts", &counts)
	return counts
}

func TestCallsPassThroughUnchangedWithTheirToken(t *testing.T) {
	p := newProxied(t)
	status, body := p.mustSend("PATCH", applyPath)
	if status != http.StatusCreated || body != "sent" {
		t.Errorf("got %d %q", status, body)
	}
	if got := <-p.served; got != "PATCH /apis/apps/v1/namespaces/demo/statefulsets/prod-loki Bearer abc" {
		t.Errorf("the backend saw %q", got)
	}
}

func TestCallsAreCountedByWhatTheyAreAbout(t *testing.T) {
	p := newProxied(t)
	p.mustSend("PATCH", applyPath)
	p.mustSend("PATCH", applyPath)
	p.mustSend("GET", "/api/v1/namespaces/demo/pods/x/status")
	p.mustSend("GET", "/version")
	want := []proxyCount{
		{proxyTarget{"stackledger/1", "get", "", "", ""}, 201, 1},
		{proxyTarget{"stackledger/1", "get", "pods", "status", "demo"}, 201, 1},
		{proxyTarget{"stackledger/1", "patch", "statefulsets.apps", "", "demo"}, 201, 2},
	}
	if got := p.counts(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	p.tell("/reset-counts", nil)
	if got := p.counts(); len(got) != 0 {
		t.Errorf("after a reset there are %v", got)
	}
	var log struct {
		Calls []proxyCall
		Last  int64
	}
	p.ask("/log?since=3", &log)
	if log.Last != 4 || len(log.Calls) != 1 || log.Calls[0].Name != "/version" || log.Calls[0].Duration == nil {
		t.Errorf("the log holds %+v", log)
	}
}

func TestAnInjectedErrorIsAStatusWithRetryAfterForSoManyCalls(t *testing.T) {
	p := newProxied(t)
	p.tell("/inject", map[string]any{
		"status": 429, "verb": "patch", "resource": "statefulsets", "remaining": 2, "retry_after_seconds": 7,
	})
	p.mustSend("GET", applyPath)
	for range 2 {
		answer, err := p.send("PATCH", applyPath)
		if err != nil {
			t.Fatal(err)
		}
		var status metav1.Status
		if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 429 || answer.Header.Get("Retry-After") != "7" || status.Reason != "TooManyRequests" ||
			status.Details.RetryAfterSeconds != 7 || status.Kind != "Status" {
			t.Errorf("got %d %v %+v", answer.StatusCode, answer.Header, status)
		}
	}
	if status, _ := p.mustSend("PATCH", applyPath); status != http.StatusCreated {
		t.Errorf("the third call got %d", status)
	}
}

func TestErrorsAreWordedAsTheAPIServerWordsThem(t *testing.T) {
	for status, words := range map[int]string{
		500: "InternalError Internal error occurred: injected by the proxy",
		503: "ServiceUnavailable the server is currently unable to handle the request",
		504: "Timeout Timeout: request did not complete within the allotted timeout",
	} {
		p := newProxied(t)
		p.tell("/inject", map[string]any{"status": status, "remaining": nil})
		code, body := p.mustSend("GET", applyPath)
		var got metav1.Status
		_ = json.Unmarshal([]byte(body), &got)
		if code != status || string(got.Reason)+" "+got.Message != words {
			t.Errorf("got %d %q %q, want %q", code, got.Reason, got.Message, words)
		}
	}
}

func TestAPlainErrorIsText(t *testing.T) {
	p := newProxied(t)
	p.tell("/inject", map[string]any{"status": 429, "plain": true})
	if code, body := p.mustSend("GET", applyPath); code != 429 || body != "Too many requests, please try again later.\n" {
		t.Errorf("got %d %q", code, body)
	}
}

func TestFaultsMatchSubresourcesNamespacesNamesAndAgents(t *testing.T) {
	target := &proxyCallTarget{proxyTarget{"stackledger/1", "patch", "deployments.apps", "status", "demo"}, "a"}
	for fault, want := range map[proxyFault]bool{
		{}:                               true,
		{Resource: "deployments"}:        false,
		{Resource: "deployments.apps"}:   false,
		{Resource: "deployments/status"}: true,
		{Resource: "deployments.apps/status", Verb: "patch"}: true,
		{Verb: "get"}:             false,
		{Namespace: "other"}:      false,
		{Name: "a"}:               true,
		{Name: "b"}:               false,
		{UserAgent: "stackled"}:   true,
		{UserAgent: "kubectl/37"}: false,
	} {
		if got := fault.matches(target); got != want {
			t.Errorf("%+v: %v", fault, got)
		}
	}
}

func TestARefusedInjectionSaysWhy(t *testing.T) {
	p := newProxied(t)
	for _, fields := range []map[string]any{{"status": 200}, {"status": 500, "remaining": 0}} {
		if answer := p.tell("/inject", fields); !strings.HasPrefix(answer, "400 ") {
			t.Errorf("%v: %s", fields, answer)
		}
	}
}

func TestADeadBackendEndsTheConnectionAndTheCallIsCounted(t *testing.T) {
	p := newProxied(t)
	p.backend.Close()
	answer, err := p.send("GET", applyPath)
	if err == nil {
		t.Fatalf("got %d", answer.StatusCode)
	}
	if got := p.counts(); len(got) == 0 || got[0].Status != 0 || got[0].Resource != "statefulsets.apps" {
		t.Errorf("counted %v", got)
	}
}

func TestDropClosesBeforeTheCallAndAfterClosesBehindIt(t *testing.T) {
	p := newProxied(t)
	p.tell("/inject", map[string]any{"drop": true})
	if _, err := p.send("POST", applyPath); err == nil || len(p.served) != 0 {
		t.Errorf("drop: %v, served %d", err, len(p.served))
	}
	p.tell("/inject", map[string]any{"after": true})
	if _, err := p.send("POST", applyPath); err == nil || len(p.served) != 1 {
		t.Errorf("after: %v, served %d", err, len(p.served))
	}
}

func TestAPausedProxyHoldsCallsAndStreamsAndKeepsConnections(t *testing.T) {
	p := newProxied(t)
	answer, err := p.send("GET", "/api/v1/pods?watch=1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := make(chan string, 10_000)
	go func() {
		for scanner := bufio.NewScanner(answer.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
		close(lines)
	}()
	<-lines
	p.tell("/pause", nil)
	time.Sleep(50 * time.Millisecond)
	before := len(lines)
	done := make(chan int)
	go func() { status, _ := p.mustSend("GET", applyPath); done <- status }()
	select {
	case status := <-done:
		t.Errorf("a call was answered while paused: %d", status)
	case <-time.After(100 * time.Millisecond):
	}
	if len(lines) != before {
		t.Errorf("%d lines came while paused", len(lines)-before)
	}
	p.tell("/resume", nil)
	if status := <-done; status != http.StatusCreated {
		t.Errorf("after resume: %d", status)
	}
	for len(lines) == before {
		time.Sleep(time.Millisecond)
	}
	if answer := p.tell("/drop-connections", nil); strings.Contains(answer, ":0}") {
		t.Errorf("nothing was dropped: %s", answer)
	}
	for range lines {
	}
}

func TestTheClientMayUseHTTP2(t *testing.T) {
	p := newProxied(t)
	roots := p.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	p.client = clientOf(roots, true)
	answer, err := p.send("GET", applyPath)
	if err != nil || answer.ProtoMajor != 2 {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	p.tell("/inject", map[string]any{"drop": true})
	if _, err := p.send("GET", applyPath); err == nil {
		t.Error("a dropped call was answered")
	}
}

func BenchmarkThroughTheProxy(b *testing.B) {
	p := newProxied(b)
	for _, path := range []struct{ name, url string }{{"direct", p.backend.URL}, {"proxied", p.url}} {
		b.Run(path.name, func(b *testing.B) {
			for range b.N {
				answer, err := p.client.Get(path.url + applyPath)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		})
	}
}
