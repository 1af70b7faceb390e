package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// controlAPI is how tests say what is to go wrong, and ask what was called. Plain HTTP with JSON, on loopback.
func (p *faultProxy) controlAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("POST /inject", p.controlInject)
	mux.HandleFunc("POST /clear", controlAction(p.faults.clear))
	mux.HandleFunc("POST /pause", controlAction(p.faults.gate.shut))
	mux.HandleFunc("POST /resume", controlAction(p.faults.gate.open))
	mux.HandleFunc("POST /reset-counts", controlAction(p.calls.reset))
	mux.HandleFunc("POST /drop-connections", func(w http.ResponseWriter, _ *http.Request) {
		controlAnswer(w, map[string]int{"dropped": p.conns.drop()})
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { controlAnswer(w, p.calls.list()) })
	mux.HandleFunc("GET /log", p.controlLog)
	return mux
}

func (p *faultProxy) controlInject(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		var fault *proxyFault
		if fault, err = parseProxyFault(body); err == nil {
			p.faults.inject(fault)
			controlAnswer(w, map[string]any{})
			return
		}
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
}

func (p *faultProxy) controlLog(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	if err != nil && r.URL.Query().Get("since") != "" {
		http.Error(w, "since is not a number", http.StatusBadRequest)
		return
	}
	calls, last := p.calls.since(since)
	controlAnswer(w, map[string]any{"calls": calls, "last": last})
}

func controlAction(act func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		act()
		controlAnswer(w, map[string]any{})
	}
}

func controlAnswer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}
