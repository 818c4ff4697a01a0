package loopback

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestLocalhost serves and asks by each form of the name, and a name like it goes to the resolver.
func TestLocalhost(t *testing.T) {
	for _, host := range []string{"localhost", "localhost.", "LocalHost"} {
		l, err := Listen(host, 0)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if a := l.Addr().(*net.TCPAddr); !a.IP.IsLoopback() {
			t.Errorf("%s: listens on %v", host, a)
		}
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
		defer l.Close()
		c := &http.Client{Transport: &http.Transport{DialContext: Dialer(0, 0)}}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		res, err := c.Get("http://" + host + ":" + port)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != "here" {
			t.Errorf("%s: %q", host, b)
		}
		res.Body.Close()
	}
	if _, err := Listen("localhost.invalid", 0); err == nil || !strings.Contains(err.Error(), "localhost.invalid") {
		t.Errorf("another name: %v", err)
	}
}

// TestSecondAddress takes the second address if the first does not work, and otherwise tells of the first.
func TestSecondAddress(t *testing.T) {
	was := addresses
	t.Cleanup(func() { addresses = was })
	taken, err := net.Listen("tcp", "127.0.0.5:0")
	if err != nil {
		t.Skip("127.0.0.5 is not an address here:", err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	addresses = [2]string{"127.0.0.4", "127.0.0.5"}
	conn, err := Dialer(0, 0)(t.Context(), "tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	addresses = [2]string{"127.0.0.5", "127.0.0.4"}
	if l, err := Listen("localhost", port); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "127.0.0.5") {
		t.Errorf("%v, %v, and the port is taken", l, err)
	}
	addresses[0] = "2001:db8::1" // no address of this host
	l, err := Listen("localhost", port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Addr().(*net.TCPAddr).IP.String(); got != "127.0.0.4" {
		t.Errorf("listens on %s", got)
	}
}
