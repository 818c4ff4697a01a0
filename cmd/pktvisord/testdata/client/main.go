// Program client requests every route of an agent with the client that oapi-codegen generates from docs/openapi.yaml.
// It compares what the client decoded with the bytes that it received. TestGeneratedClient builds it together with that
// client. The only argument is the agent's URL.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
)

func main() {
	failures := 0
	fail := func(format string, args ...any) {
		failures++
		fmt.Printf(format+"\n", args...)
	}
	c, err := NewClientWithResponses(os.Args[1])
	if err != nil {
		fail("%v", err)
	} else {
		everyRoute(c, fail)
		typedValues(c, fail)
		errorAnswers(c, fail)
	}
	if failures > 0 {
		os.Exit(1)
	}
}

// hubRoutes are the methods for routes that only a hub has.
var hubRoutes = map[string]bool{"GetFleet": true, "GetOverlap": true}

// mayLack are the methods for what an agent may not have.
var mayLack = map[string]bool{"GetTap": true, "GetPolicyPrometheus": true}

// untyped are the methods whose answers have sections without types, so that the client rounds their numbers.
var untyped = map[string]bool{"GetRangeWithResponse": true, "GetPolicyBucketWithResponse": true, "GetPolicyWindowWithResponse": true}

// everyRoute calls all methods of the client that read, with 1 for numbers, or 2 for a policy's window, default for names, and without optional parameters.
func everyRoute(c *ClientWithResponses, fail func(string, ...any)) {
	client := reflect.ValueOf(c)
	routes := reflect.TypeFor[ClientWithResponsesInterface]()
	for i := range routes.NumMethod() {
		m := routes.Method(i)
		if !strings.HasPrefix(m.Name, "Get") { // it changes something
			continue
		}
		var args []reflect.Value
		for k := range m.Type.NumIn() - 1 { // without the request editors
			switch in := m.Type.In(k); {
			case in == reflect.TypeFor[context.Context]():
				args = append(args, reflect.ValueOf(context.Background()))
			case in.Kind() == reflect.String: // the name of a policy or tap
				args = append(args, reflect.ValueOf("default").Convert(in))
			case in.Kind() == reflect.Int64:
				number := int64(1)
				if m.Name == "GetPolicyWindowWithResponse" {
					number = 2 // the least
				}
				args = append(args, reflect.ValueOf(number).Convert(in))
			default:
				args = append(args, parametersOf(in))
			}
		}
		if m.Name == "GetEventsWithResponse" { // its answer has no end
			firstEvent(fail)
			continue
		}
		out := client.MethodByName(m.Name).Call(args)
		if err, _ := out[1].Interface().(error); err != nil {
			fail("%s: %v", m.Name, err)
			continue
		}
		if name := strings.TrimSuffix(m.Name, "WithResponse"); hubRoutes[name] {
			if status := out[0].MethodByName("StatusCode").Call(nil)[0].Int(); status != http.StatusNotFound {
				fail("%s: an agent answers %d on the route of a hub", name, status)
			}
			continue
		}
		status := out[0].MethodByName("StatusCode").Call(nil)[0].Int()
		empty := status == http.StatusNotFound || out[0].Elem().FieldByName("Body").Len() == 0
		if empty && mayLack[strings.TrimSuffix(m.Name, "WithResponse")] {
			continue
		}
		checkAnswer(m.Name, out[0].Elem(), fail)
	}
	fmt.Println(routes.NumMethod(), "routes")
}

// parametersOf returns the parameters of a route: those that it requires.
func parametersOf(t reflect.Type) reflect.Value {
	if t.Kind() != reflect.Pointer {
		return reflect.Zero(t)
	}
	v := reflect.New(t.Elem())
	for name, value := range map[string]any{"Metric": []string{"dns.wire_packets.total"}, "Table": "dns.top_qname2", "Name": []string{".example.com"}} {
		if f := v.Elem().FieldByName(name); f.IsValid() && f.Type() == reflect.TypeOf(value) {
			f.Set(reflect.ValueOf(value))
		}
	}
	return v
}

// firstEvent reads the first line of the stream of events.
func firstEvent(fail func(string, ...any)) {
	res, err := http.Get(os.Args[1] + "/api/v1/events")
	if err != nil {
		fail("events: %v", err)
		return
	}
	defer res.Body.Close()
	if lines := bufio.NewScanner(res.Body); res.Header.Get("Content-Type") != "text/event-stream" || !lines.Scan() {
		fail("events: %s, %s", res.Header.Get("Content-Type"), lines.Text())
	}
}

// checkAnswer compares the decoded body of a response with its bytes.
func checkAnswer(name string, response reflect.Value, fail func(string, ...any)) {
	body := response.FieldByName("Body").Bytes()
	res := response.FieldByName("HTTPResponse").Interface().(*http.Response)
	if res.StatusCode != 200 || len(body) == 0 {
		fail("%s: %s with %d bytes", name, res.Status, len(body))
		return
	}
	if res.Header.Get("Content-Type") != "application/json" {
		return
	}
	decoded := response.FieldByName("JSON200")
	if !decoded.IsValid() || decoded.IsNil() {
		fail("%s: the client has no type for the answer", name)
		return
	}
	if untyped[name] {
		return
	}
	again, err := json.Marshal(decoded.Interface())
	if err != nil {
		fail("%s: %v", name, err)
		return
	}
	compare(name, parse(body), parse(again), fail)
}

func parse(b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	return v
}

// compare reports the differences between two JSON values, such as a member that one lacks or a number that was
// rounded.
func compare(at string, want, got any, fail func(string, ...any)) {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			fail("%s: the client has %d members, the agent sent %d", at, len(object), len(want))
		}
		for name, v := range want {
			if _, ok := object[name]; !ok {
				fail("%s.%s: the client does not have this member", at, name)
				continue
			}
			compare(at+"."+name, v, object[name], fail)
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			fail("%s: the client has %d items, the agent sent %d", at, len(list), len(want))
			return
		}
		for i := range want {
			compare(at+"["+strconv.Itoa(i)+"]", want[i], list[i], fail)
		}
	case json.Number:
		n, ok := got.(json.Number)
		same := ok && n == want
		if ok && strings.ContainsAny(want.String(), ".e") { // the same number may be written in two ways
			a, _ := want.Float64()
			b, _ := n.Float64()
			same = a == b
		}
		if !same {
			fail("%s: the client has %v, the agent sent %v", at, got, want)
		}
	default:
		if want != got {
			fail("%s: the client has %v, the agent sent %v", at, got, want)
		}
	}
}

// typedValues reads some values as a program would.
func typedValues(c *ClientWithResponses, fail func(string, ...any)) {
	ctx := context.Background()
	rows := int64(3)
	window, err := c.GetWindowWithResponse(ctx, 5, &GetWindowParams{Rows: &rows})
	if err != nil || window.JSON200 == nil {
		fail("window: %v", err)
		return
	}
	w, ok := (*window.JSON200)["5m"]
	if !ok || w.Packets.Total <= 1<<63 || w.Packets.SizeIsMissing() || w.Dns.Rates.Total.Live == nil || w.Dns.TopQname2 == nil || len(*w.Dns.TopQname2) > 3 {
		fail("window: total %d, rows %v", w.Packets.Total, w.Dns.TopQname2)
	}
	bucket, err := c.GetBucketWithResponse(ctx, 1, nil, func(_ context.Context, r *http.Request) error {
		r.Header.Set("Accept", "application/vnd.pktvisor.snapshot")
		return nil
	})
	if err != nil || bucket.StatusCode() != 200 || bucket.ContentType() != "application/vnd.pktvisor.snapshot" || !bytes.HasPrefix(bucket.Body, []byte("pktvsnap")) {
		fail("snapshot: %v, %.20q", err, bucket.Body)
	}
	tables, err := c.GetTablesWithResponse(ctx, nil)
	if err != nil || tables.JSON200.Sections[0].Name != "packets" || tables.JSON200.Sections[0].Metrics[0].Path != "total" {
		fail("tables: %v", err)
		return
	}
	tag := tables.HTTPResponse.Header.Get("ETag")
	if again, err := c.GetTablesWithResponse(ctx, &GetTablesParams{IfNoneMatch: &tag}); err != nil || again.StatusCode() != 304 || again.JSON200 != nil {
		fail("tables again: %v", err)
	}
}

// SizeIsMissing reports whether the packets have no sizes.
func (p Packets) SizeIsMissing() bool {
	return p.Size.Count == nil || p.Size.P50 == nil || p.Size.Mean == nil
}

// errorAnswers reads errors as a program would.
func errorAnswers(c *ClientWithResponses, fail func(string, ...any)) {
	ctx := context.Background()
	if r, err := c.GetWindowWithResponse(ctx, 1441, nil); err != nil || r.JSON400 == nil || !strings.Contains(r.JSON400.Error, "1441") {
		fail("a window out of range: %v, %+v", err, r)
	}
	if r, err := c.GetBucketWithResponse(ctx, 4, nil); err != nil || r.JSON404 == nil || r.JSON404.Error == "" {
		fail("a minute that does not exist: %v, %+v", err, r)
	}
}
