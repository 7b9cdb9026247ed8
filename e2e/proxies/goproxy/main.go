// A plain reverse proxy of Go's standard library: what `cargo e2e bench proxy` measures.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	backend := &url.URL{Scheme: "http", Host: os.Args[2]}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// By default two idle connections are kept, which is fewer than a caller here has.
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 256, 256
	// Bodies pass as they are.
	transport.DisableCompression = true
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: os.Args[1], Handler: proxy, Protocols: protocols}
	log.Fatal(server.ListenAndServe())
}
