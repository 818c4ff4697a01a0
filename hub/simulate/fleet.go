package simulate

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
)

// Chaos says what goes wrong in a fleet. All but Skew are shares of the host-minutes, from 0 to 1.
type Chaos struct {
	Duplicate float64       // delivered twice
	Late      float64       // delivered up to ten minutes late
	Restart   float64       // the agent is restarted in the minute, which then has two buckets
	Skew      time.Duration // clocks of a tenth of the hosts are ahead or behind by up to this time
}

// Config describes a fleet.
type Config struct {
	Hosts, Pops, Countries int
	Chaos                  Chaos
	// Seed makes the same fleet again.
	Seed uint64
	// Policy is the name of the policy of all agents.
	Policy string
}

// Fleet makes the minutes of synthetic agents. Each minute of each host is a function of the configuration: it can be
// made at any time, in any order and again. Any number of goroutines may use a fleet.
type Fleet struct {
	cfg       Config
	templates [][]template // of each POP: one of a busy host, some normal ones, and one of a quiet host
}

// variants is the number of templates of a POP: the first is busy, the last quiet.
const variants = 5

// New makes a fleet. Twenty POPs take about two seconds of a core.
func New(cfg Config) *Fleet {
	if cfg.Policy == "" {
		cfg.Policy = "default"
	}
	f := &Fleet{cfg: cfg, templates: make([][]template, min(cfg.Pops, cfg.Hosts))}
	w := newWorld()
	pops := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for pop := range pops {
				f.templates[pop] = templatesOf(w, pop, cfg.Seed)
			}
		})
	}
	for pop := range f.templates {
		pops <- pop
	}
	close(pops)
	wg.Wait()
	return f
}

// templatesOf makes the templates of a POP.
func templatesOf(w *world, pop int, seed uint64) (list []template) {
	for i := range variants {
		c := normal
		switch i {
		case 0:
			c = busy
		case variants - 1:
			c = quiet
		}
		list = append(list, newTemplate(c, w, pop, rand.New(rand.NewPCG(seed, uint64(pop*variants+i)))))
	}
	return list
}

// Hosts returns the number of hosts.
func (f *Fleet) Hosts() int { return f.cfg.Hosts }

// Name returns the name of a host.
func (f *Fleet) Name(host int) string {
	return fmt.Sprintf("ns%05d.%s.example.net", host, f.popName(host))
}

func (f *Fleet) popName(host int) string { return fmt.Sprintf("pop%02d", host%f.cfg.Pops) }

// Tags returns the tags of a host.
func (f *Fleet) Tags(host int) metric.Tags {
	pop := host % f.cfg.Pops
	tags, _ := metric.ParseTags([]string{
		"pop=" + f.popName(host), fmt.Sprintf("country=c%d", pop%f.cfg.Countries), "role=" + [...]string{"auth", "resolver"}[host/f.cfg.Pops%2],
	})
	return tags
}

// The random numbers of a fleet, one for each question.
const (
	askRestart = iota
	askDuplicate
	askLate
	askDelay
	askSkew
	askSkewBy
	askLost
	askBoot
)

// random returns a number that depends only on its arguments and the seed.
func (f *Fleet) random(question, host, min int) uint64 {
	x := f.cfg.Seed + uint64(question)*0x9e3779b97f4a7c15 + uint64(host)*0xbf58476d1ce4e5b9 + uint64(min)*0x94d049bb133111eb
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// happens reports whether something happens that has the given share.
func (f *Fleet) happens(share float64, question, host, min int) bool {
	return float64(f.random(question, host, min)>>11) < share*(1<<53)
}

// Clock returns by how much the clock of a host is ahead: whole minutes and some seconds.
func (f *Fleet) Clock(host int) time.Duration {
	if f.cfg.Chaos.Skew < time.Second || !f.happens(0.1, askSkew, host, 0) {
		return 0
	}
	seconds := int64(f.cfg.Chaos.Skew / time.Second)
	return time.Duration(int64(f.random(askSkewBy, host, 0)%uint64(2*seconds+1))-seconds) * time.Second
}

// maxLate is the greatest delay of a late minute, in minutes.
const maxLate = 10

// Delay returns by how many minutes a host-minute is delivered late.
func (f *Fleet) Delay(host, min int) int {
	if !f.happens(f.cfg.Chaos.Late, askLate, host, min) {
		return 0
	}
	return 1 + int(f.random(askDelay, host, min)%maxLate)
}

// Duplicate reports whether a host-minute is delivered twice.
func (f *Fleet) Duplicate(host, min int) bool {
	return f.happens(f.cfg.Chaos.Duplicate, askDuplicate, host, min)
}

// Snapshot identifies one bucket of a fleet.
type Snapshot struct {
	Host int
	// Minute is the number of the minute since the fleet began.
	Minute int
	// Second says that it is the second one of the minute: that of the restarted agent.
	Second bool
}

// Of returns the snapshots of a host-minute.
func (f *Fleet) Of(host, min int) []Snapshot {
	list := []Snapshot{{Host: host, Minute: min}}
	if f.restarts(host, min) {
		list = append(list, Snapshot{host, min, true})
	}
	return list
}

func (f *Fleet) restarts(host, min int) bool {
	return f.happens(f.cfg.Chaos.Restart, askRestart, host, min)
}

// Identity returns the identity of a snapshot.
func (f *Fleet) Identity(s Snapshot) metric.Identity {
	// The minute in which the process was started, -1 for the first one. It seals its first bucket for that minute.
	since, seq := s.Minute, uint64(1)
	for !s.Second {
		if since--; since < 0 {
			seq = uint64(s.Minute) + 1
			break
		}
		if seq++; f.restarts(s.Host, since) {
			break
		}
	}
	return metric.Identity{
		Host: f.Name(s.Host), Tap: "eth0", Policy: f.cfg.Policy, Tags: f.Tags(s.Host),
		Boot: f.random(askBoot, s.Host, since) | 1, Seq: seq,
	}
}

// Lost returns the packets that a snapshot says were lost: a number of its own, so that a sum shows which snapshots it has.
func (f *Fleet) Lost(s Snapshot) uint64 {
	n := f.random(askLost, s.Host, s.Minute) % 1_000_000
	if s.Second {
		n += 1_000_000
	}
	return n
}

// template returns the template of a snapshot. A host has a different one in the next minute.
func (f *Fleet) template(s Snapshot) *template {
	list := f.templates[s.Host%f.cfg.Pops]
	switch s.Host / f.cfg.Pops % 10 {
	case 0:
		return &list[0]
	case 9:
		return &list[variants-1]
	}
	return &list[1+(s.Host+s.Minute)%(variants-2)]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends a snapshot whose minute begins at start. Docs/snapshot.md describes the form.
func (f *Fleet) Append(dst []byte, s Snapshot, start int64) []byte {
	t := f.template(s)
	id := f.Identity(s)
	at := len(dst)
	dst = append(dst, "pktvsnap\x01"...)
	dst = append(dst, t.compression)
	dst = append(dst, make([]byte, prelude-10)...)
	dst = binary.AppendVarint(dst, start)
	dst = binary.AppendUvarint(dst, minute.Seconds)
	dst = binary.AppendUvarint(dst, 100)
	dst = binary.AppendUvarint(dst, f.Lost(s))
	dst = appendText(dst, id.Host)
	dst = appendText(dst, "pktvisor-hub simulate")
	dst = binary.AppendUvarint(dst, 0)
	dst = appendText(dst, id.Policy)
	dst = appendText(dst, id.Tap)
	dst = binary.LittleEndian.AppendUint64(dst, id.Boot)
	dst = binary.AppendUvarint(dst, id.Seq)
	dst = binary.AppendUvarint(dst, 0)
	dst = binary.AppendUvarint(dst, minute.Seconds)
	tags := id.Tags.List()
	dst = binary.AppendUvarint(dst, uint64(len(tags)))
	for _, tag := range tags {
		dst = appendText(dst, tag)
	}
	binary.LittleEndian.PutUint16(dst[at+headerLen:], uint16(len(dst)-at-prelude))
	binary.LittleEndian.PutUint32(dst[at+bodyLen:], uint32(len(t.body)))
	binary.LittleEndian.PutUint32(dst[at+sizeLen:], t.size)
	dst = append(dst, t.body...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
