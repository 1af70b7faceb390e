package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

// faultProxy stands between a client and the API server. It passes bytes on, counts the calls it is sent, and does to
// them what its control API was told to do. Client certificates end here; bearer tokens go through unchanged.
type faultProxy struct {
	forward *httputil.ReverseProxy
	faults  *proxyFaults
	calls   *proxyCalls
	conns   *proxyConns
}

type proxyCallKey struct{}

// runProxy serves until the process is killed. It returns the exit code.
func runProxy(args []string) int {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "HOST:PORT to serve TLS on")
	backend := flags.String("backend", "", "URL of the API server")
	caFile := flags.String("ca", "", "file with the certificate that the API server's is checked against")
	certFile := flags.String("cert", "", "serving certificate")
	keyFile := flags.String("key", "", "key of the serving certificate")
	control := flags.String("control", "127.0.0.1:0", "HOST:PORT to serve the control API on, without TLS")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := serveProxy(*listen, *backend, *caFile, *certFile, *keyFile, *control); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		return 1
	}
	return 0
}

func serveProxy(listen, backend, caFile, certFile, keyFile, control string) error {
	target, err := url.Parse(backend)
	if err != nil || target.Scheme != "https" {
		return fmt.Errorf("--backend %q is not an https URL", backend)
	}
	authority, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return fmt.Errorf("--ca %s holds no certificate", caFile)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	proxy := newFaultProxy(target, &tls.Config{RootCAs: roots})
	front, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	side, err := net.Listen("tcp", control)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- proxy.server(pair).ServeTLS(proxy.conns.track(front), "", "") }()
	go func() { failed <- (&http.Server{Handler: proxy.controlAPI()}).Serve(side) }()
	return <-failed
}

func newFaultProxy(target *url.URL, trust *tls.Config) *faultProxy {
	proxy := &faultProxy{faults: newProxyFaults(), calls: newProxyCalls(), conns: newProxyConns()}
	proxy.forward = &httputil.ReverseProxy{
		Rewrite:       func(request *httputil.ProxyRequest) { request.SetURL(target) },
		FlushInterval: -1,
		BufferPool:    &proxyBuffers{},
		Transport: &http.Transport{
			// HTTP/1.1 to the server: a call's connection fails for this call only, as the client's own would.
			TLSClientConfig:     trust,
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 1024,
			DisableCompression:  true,
		},
		ErrorLog: log.New(io.Discard, "", 0),
		// A server that is not there does not answer 502: the connection ends.
		ErrorHandler:   func(w http.ResponseWriter, r *http.Request, _ error) { abortConnection(w) },
		ModifyResponse: proxy.answered,
	}
	return proxy
}

func (p *faultProxy) server(pair tls.Certificate) *http.Server {
	return &http.Server{
		Handler:  p,
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{pair},
			// A server that stands still does not shake hands either.
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				return nil, p.faults.gate.wait(hello.Context())
			},
		},
	}
}

func (p *faultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := p.calls.begin(r)
	defer p.calls.end(call)
	if p.faults.gate.wait(r.Context()) != nil {
		abortConnection(w)
		return
	}
	fault := p.faults.take(&call.proxyCallTarget)
	switch {
	case fault == nil:
		p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), proxyCallKey{}, call)))
	case fault.After:
		p.forward.ServeHTTP(discardedAnswer{http.Header{}}, r)
		abortConnection(w)
	case fault.Drop:
		abortConnection(w)
	default:
		p.calls.answer(call, fault.Status)
		fault.refuse(w, &call.proxyCallTarget)
	}
}

// answered is told of each answer's head, and makes its body obey the gate.
func (p *faultProxy) answered(response *http.Response) error {
	ctx := response.Request.Context()
	if err := p.faults.gate.wait(ctx); err != nil {
		return err
	}
	if call, ok := ctx.Value(proxyCallKey{}).(*proxyCall); ok {
		p.calls.answer(call, response.StatusCode)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		response.Body = &gatedBody{response.Body, p.faults.gate, ctx}
	}
	return nil
}

// gatedBody is an answer's body that stands still while the gate is closed.
type gatedBody struct {
	io.ReadCloser
	gate *proxyGate
	ctx  context.Context
}

func (b *gatedBody) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	if closed := b.gate.wait(b.ctx); closed != nil {
		return 0, closed
	}
	return count, err
}

// discardedAnswer swallows what a server answers to a call whose answer is to be lost.
type discardedAnswer struct{ header http.Header }

func (d discardedAnswer) Header() http.Header            { return d.header }
func (d discardedAnswer) Write(data []byte) (int, error) { return len(data), nil }
func (d discardedAnswer) WriteHeader(int)                {}

// abortConnection ends the client's connection with a reset and without an answer; over HTTP/2, the stream.
func abortConnection(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resetConnection(connection)
}

func resetConnection(connection net.Conn) {
	if secured, ok := connection.(*tls.Conn); ok {
		connection = secured.NetConn()
	}
	if tracked, ok := connection.(*trackedConn); ok {
		if tcp, ok := tracked.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	_ = connection.Close()
}

// proxyConns knows the open connections of clients.
type proxyConns struct {
	mutex sync.Mutex
	open  map[*trackedConn]struct{}
}

type trackedConn struct {
	net.Conn
	conns *proxyConns
}

type trackingListener struct {
	net.Listener
	conns *proxyConns
}

func newProxyConns() *proxyConns { return &proxyConns{open: map[*trackedConn]struct{}{}} }

func (c *proxyConns) track(listener net.Listener) net.Listener { return trackingListener{listener, c} }

func (l trackingListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tracked := &trackedConn{connection, l.conns}
	l.conns.mutex.Lock()
	defer l.conns.mutex.Unlock()
	l.conns.open[tracked] = struct{}{}
	return tracked, nil
}

func (t *trackedConn) Close() error {
	t.conns.mutex.Lock()
	delete(t.conns.open, t)
	t.conns.mutex.Unlock()
	return t.Conn.Close()
}

// drop resets every open connection and says how many there were.
func (c *proxyConns) drop() int {
	c.mutex.Lock()
	all := make([]*trackedConn, 0, len(c.open))
	for connection := range c.open {
		all = append(all, connection)
	}
	c.mutex.Unlock()
	for _, connection := range all {
		resetConnection(connection)
	}
	return len(all)
}

// proxyBuffers lends the copying loop its buffers.
type proxyBuffers struct{ pool sync.Pool }

func (b *proxyBuffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32*1024)
}

func (b *proxyBuffers) Put(buffer []byte) { b.pool.Put(&buffer) }

var errClientGone = errors.New("the client is gone")
