package metric

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func indented(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return append(out.Bytes(), '\n')
}

// TestJSONHostile: whatever names, values and keys a bucket has, its JSON is well-formed, is appended to the existing
// bytes, and shows the names as exactly as JSON can.
func TestJSONHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBucket(testTables)
		m := Of[testMetrics](b.Sections[0])
		name := rapid.OneOf(
			rapid.String(),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.SampledFrom([]string{`"`, `\`, `\"},{`, "\x00", "\u2028", "\xff\xfe", "</script>", "{", "a\nb", "é", ""}),
		)
		names := rapid.SliceOfN(name, 0, 8).Draw(t, "names")
		for i, n := range names {
			m.TopAll.Add([]byte(n), uint64(100-i))
			m.Names.Add([]byte(n))
		}
		m.Total = Counter(rapid.Uint64().Draw(t, "total"))
		m.Ratio.RecordN(rapid.Uint64().Draw(t, "ratio"), rapid.Uint64Range(0, 1<<40).Draw(t, "times"))
		m.Size.Record(rapid.Uint64().Draw(t, "size"))
		b.Start, b.End = rapid.Int64().Draw(t, "start"), rapid.Int64().Draw(t, "end")
		b.DeepSamplePercent = rapid.IntRange(0, 100).Draw(t, "percent")
		key := name.Draw(t, "key")
		got := b.AppendJSON([]byte("before"), JSONOptions{Key: key, LiveSecond: 1})
		got, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok || !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("not appended, or not JSON: %q", got)
		}
		var parsed map[string]struct {
			Test struct {
				Total  uint64 `json:"total"`
				TopAll []struct {
					Name     string
					Estimate uint64
				} `json:"top_all"`
			} `json:"test"`
		}
		if err := json.Unmarshal(got, &parsed); err != nil || len(parsed) != 1 {
			t.Fatalf("%v: %q", err, got)
		}
		for k, v := range parsed {
			if utf8.ValidString(key) && k != key || v.Test.Total != uint64(m.Total) {
				t.Fatalf("key %q, total %d; want %q, %d", k, v.Test.Total, key, m.Total)
			}
			shown := map[string]bool{}
			for _, row := range v.Test.TopAll {
				shown[row.Name] = true
			}
			for _, n := range names {
				if utf8.ValidString(n) && !shown[n] {
					t.Fatalf("%q is not shown: %q", n, got)
				}
			}
		}
	})
}
