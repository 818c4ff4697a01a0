package program

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPrintError(t *testing.T) {
	var out bytes.Buffer
	PrintError(&out, "prog", errors.Join(errors.New("one"), errors.New("two")))
	if out.String() != "prog: one\nprog: two\n" {
		t.Errorf("printed %q", &out)
	}
}

// TestBounded: a service that ends in time is waited for, another is not.
func TestBounded(t *testing.T) {
	for takes, want := range map[time.Duration]string{0: "ended", 9 * time.Second: "ended", 11 * time.Second: "did not end within 10s"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			began := time.Now()
			if takes > 0 {
				stop()
			}
			err := Bounded(ctx, 10*time.Second, func() error { time.Sleep(takes); return errors.New("ended") })
			stop()
			if !strings.Contains(err.Error(), want) || time.Since(began) > 10*time.Second {
				t.Errorf("after %v: %v, want %q", time.Since(began), err, want)
			}
			time.Sleep(takes) // for the goroutine
		})
	}
}
