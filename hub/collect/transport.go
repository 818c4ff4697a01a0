package collect

import (
	"crypto/tls"
	"net/http"
	"time"

	"pktvisor/access"
	"pktvisor/internal/loopback"
)

// The bounds of connections to agents.
const (
	dialLimit   = 3 * time.Second
	headerLimit = 8 * time.Second // from the request to the header of the answer
	maxHeader   = 16 << 10        // bytes of the header of an answer
	idleLimit   = 75 * time.Second
	maxIdle     = 1024 // connections kept between two rounds
)

// newTransport makes the transport of all requests. It never decompresses answers.
func newTransport(secure *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            loopback.Dialer(dialLimit, 30*time.Second),
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    dialLimit,
		ResponseHeaderTimeout:  headerLimit,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    defaultConcurrency, // of agents behind one proxy
		IdleConnTimeout:        idleLimit,
	}
}

// sameOrigin follows a redirect only within the agent that was asked. Otherwise an agent could make the hub send requests,
// and its token, to others.
func sameOrigin(r *http.Request, via []*http.Request) error {
	if err := access.SameOrigin(r, via); err != nil {
		return refuse(Redirected, err.Error())
	}
	return nil
}
