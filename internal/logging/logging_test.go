package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogFormats(t *testing.T) {
	var b bytes.Buffer
	for format, parses := range map[string]func([]byte) bool{
		"json": func(line []byte) bool {
			var v struct{ Level, Msg, Iface string }
			return json.Unmarshal(line, &v) == nil && v.Level == "WARN" && v.Msg == "interface is down" && v.Iface == "eth0"
		},
		"text": func(line []byte) bool {
			return strings.HasSuffix(string(line), "level=WARN msg=\"interface is down\" iface=eth0\n")
		},
	} {
		b.Reset()
		log, err := New(&b, format, "warn")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("not this one")
		log.Warn("interface is down", "iface", "eth0")
		if !parses(b.Bytes()) {
			t.Errorf("%s: %q", format, b.String())
		}
	}
}

// TestLogLimit: log messages that the network causes cannot fill the disk, and they do not suppress other messages.
func TestLogLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log, err := New(&b, "text", "info")
		if err != nil {
			t.Fatal(err)
		}
		web := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
		lines := func() int { n := strings.Count(b.String(), "\n"); b.Reset(); return n }
		for i := range 1000 {
			web.Printf("http: TLS handshake error from 192.0.2.1:%d: EOF", i)
		}
		if n := lines(); n != logBurst {
			t.Errorf("%d lines of 1000, want %d", n, logBurst)
		}
		log.Info("serving")
		if n := lines(); n != 1 {
			t.Errorf("another message was suppressed")
		}
		time.Sleep(logPeriod)
		web.Printf("http: panic serving 192.0.2.1")
		if !strings.Contains(b.String(), "suppressed=990") {
			t.Errorf("it does not report how many were suppressed: %q", b.String())
		}
		b.Reset()
		for i := range 10_000 {
			log.With("a", 1).WithGroup("g").Info(fmt.Sprintf("kind %d", i))
		}
		if n := lines(); n != 10_000 {
			t.Errorf("%d lines of 10000 kinds", n)
		}
	})
}
