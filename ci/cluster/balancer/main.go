// A stand-in for the image envoyproxy/envoy that kind uses: a TCP proxy that takes its listener and its backends
// from the files that kind writes, lds.yaml and cds.yaml, in turn among those whose /healthz answers over TLS that
// nobody verifies.
package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
)

var endpoint = regexp.MustCompile(`address:\s*"?([0-9A-Za-z.:-]+)"?\s*\n\s*port_value:\s*([0-9]+)`)

type balancer struct {
	mutex   sync.Mutex
	healthy []string
	next    atomic.Uint64
}

func main() {
	dir := "/home/envoy"
	for i, arg := range os.Args {
		if arg == "-c" && i+1 < len(os.Args) {
			dir = filepath.Dir(os.Args[i+1])
		}
	}
	var b balancer
	go b.check(filepath.Join(dir, "cds.yaml"))
	for {
		// The files may still be empty.
		listen := addresses(filepath.Join(dir, "lds.yaml"))
		if len(listen) > 0 {
			if listener, err := net.Listen("tcp", listen[0]); err == nil {
				b.serve(listener)
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func addresses(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var found []string
	for _, match := range endpoint.FindAllStringSubmatch(string(text), -1) {
		found = append(found, net.JoinHostPort(match[1], match[2]))
	}
	return found
}

// check keeps the list of backends that answer: two failures in a row, two seconds apart, take one out.
func (b *balancer) check(file string) {
	client := http.Client{
		Timeout: 3 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		},
	}
	failures := map[string]int{}
	for {
		var healthy []string
		for _, address := range addresses(file) {
			answer, err := client.Get("https://" + address + "/healthz")
			if err == nil {
				answer.Body.Close()
			}
			if err == nil && answer.StatusCode == http.StatusOK {
				failures[address] = 0
			} else if failures[address] < 2 {
				failures[address]++
			}
			seen, known := failures[address]
			if known && seen == 0 || known && seen == 1 && b.has(address) {
				healthy = append(healthy, address)
			}
		}
		b.mutex.Lock()
		b.healthy = healthy
		b.mutex.Unlock()
		time.Sleep(2 * time.Second)
	}
}

func (b *balancer) has(address string) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, one := range b.healthy {
		if one == address {
			return true
		}
	}
	return false
}

func (b *balancer) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go b.pass(client)
	}
}

func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	b.mutex.Lock()
	healthy := b.healthy
	b.mutex.Unlock()
	if len(healthy) == 0 {
		return
	}
	address := healthy[int(b.next.Add(1)-1)%len(healthy)]
	server, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		io.Copy(to, from)
		if half, ok := to.(*net.TCPConn); ok {
			half.CloseWrite()
		}
		done <- struct{}{}
	}
	go pipe(server, client)
	go pipe(client, server)
	<-done
	<-done
}
