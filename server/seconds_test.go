package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/server"
)

// reader is a client of events that reads at once, unless it is stuck.
type reader struct {
	header http.Header
	status int
	stuck  chan struct{}

	mu   sync.Mutex
	body strings.Builder
}

func (r *reader) Header() http.Header    { return r.header }
func (r *reader) WriteHeader(status int) { r.status = status }
func (r *reader) Flush()                 {}

func (r *reader) Write(b []byte) (int, error) {
	if r.stuck != nil {
		<-r.stuck
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body.Write(b)
}

// events returns the data of the events of one type.
func (r *reader) events(name string) (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for part := range strings.SplitSeq(r.body.String(), "\n\n") {
		if data, ok := strings.CutPrefix(part, "event: "+name+"\ndata: "); ok {
			list = append(list, data)
		}
	}
	return list
}

// TestEventsOfAnAgent: each client gets the rates of each second once, as /rates has them, and a finished minute when it is
// sealed. A slow client loses its stream. Without clients, nothing is made.
func TestEventsOfAnAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &pacedSource{held: 10 * time.Millisecond}
		start, want := time.Now(), map[int64]int{} // midnight, UTC
		for i := range 150 {
			second := start.Add(time.Duration(i) * time.Second)
			for n := range 1 + i%5 {
				source.frames = append(source.frames, second.Add(time.Duration(n)*150*time.Millisecond))
				want[second.Unix()]++
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		h := captureLive(t, ctx, source)
		open := func(ctx context.Context) *reader {
			r := &reader{header: http.Header{}}
			go h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/api/v1/events", nil).WithContext(ctx))
			synctest.Wait()
			return r
		}
		time.Sleep(10 * time.Second)
		one, gone := context.WithCancel(ctx)
		clients := []*reader{open(ctx), open(one)}
		slow := &reader{header: http.Header{}, stuck: make(chan struct{})}
		ended := make(chan struct{})
		go func() {
			h.ServeHTTP(slow, httptest.NewRequest(http.MethodGet, "/api/v1/events", nil))
			close(ended)
		}()
		time.Sleep(60 * time.Second)
		gone()
		time.Sleep(59 * time.Second)
		for i, c := range clients {
			got := c.events("second")
			if least := [2]int{118, 59}[i]; len(got) < least || len(got) > least+2 {
				t.Errorf("client %d got %d seconds, want %d", i, len(got), least)
			}
			last := int64(0)
			for _, data := range got {
				var rates struct {
					Packets map[string]int
					Period  struct {
						Start int64 `json:"start_ts"`
					}
				}
				if err := json.Unmarshal([]byte(data), &rates); err != nil {
					t.Fatal(err)
				}
				second := rates.Period.Start
				if last != 0 && second != last+1 || rates.Packets["pps_total"] != want[second] {
					t.Errorf("client %d: %d packets in second %d after %d, want %d", i, rates.Packets["pps_total"], second, last, want[second])
				}
				last = second
			}
			minutes := fmt.Sprint(c.events("minute"))
			first := fmt.Sprintf(`{"start_ts":%d,"policy":"default","group":"all"}`, start.Unix())
			if all := fmt.Sprintf(`[%s {"start_ts":%d,"policy":"default","group":"all"}]`, first, start.Unix()+60); i == 0 && minutes != all || i == 1 && minutes != "["+first+"]" {
				t.Errorf("client %d got the minutes %s", i, minutes)
			}
		}
		time.Sleep(server.MaxWaiting * time.Second)
		close(slow.stuck)
		<-ended // although its request has not ended
		stop()
		time.Sleep(2 * time.Second) // without clients, the events end
	})
}

// TestTooManyStreams: the clients above the bound get 503, and the others their events.
func TestTooManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		h := captureLive(t, ctx, &pacedSource{})
		last := &reader{header: http.Header{}}
		for i := range server.MaxStreams + 1 {
			last = &reader{header: http.Header{}}
			go h.ServeHTTP(last, httptest.NewRequest(http.MethodGet, "/api/v1/events", nil).WithContext(ctx))
			synctest.Wait()
			if refused := last.status == http.StatusServiceUnavailable; refused != (i == server.MaxStreams) {
				t.Fatalf("client %d: status %d", i, last.status)
			}
		}
		stop()
		time.Sleep(2 * time.Second)
	})
}
