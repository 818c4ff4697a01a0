package ingest

import (
	"fmt"
	"testing"
	"time"
)

// TestUsualPolicy fills the places of policies with invented ones. The usual policy has a place nevertheless.
func TestUsualPolicy(t *testing.T) {
	var l limits
	for i := range 10 * maxPolicies {
		ok, _ := l.admit(fmt.Sprint("invented", i), fmt.Sprint("host", i), time.Unix(0, 0))
		if ok != (i < maxPolicies) {
			t.Fatalf("policy %d: %v", i, ok)
		}
	}
	if ok, reason := l.admit("default", "ns1", time.Unix(0, 0)); !ok {
		t.Error(reason)
	}
	if ok, _ := l.admit("another", "ns1", time.Unix(0, 0)); ok {
		t.Error("another policy is admitted")
	}
	if n := len(l.policies()); n != maxPolicies+1 {
		t.Errorf("%d policies", n)
	}
}
