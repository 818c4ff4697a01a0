package collect

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"pktvisor/internal/regular"
	"pktvisor/metric"
)

// The bounds of a file with targets. The size is in bytes.
const (
	maxTargets  = 50_000
	maxFileSize = 16 << 20
)

// ReadFile reads the targets in a YAML file: see [ParseFile].
func ReadFile(path string) ([]Target, error) {
	data, err := regular.Read(path, maxFileSize)
	if err != nil {
		return nil, err
	}
	targets, err := ParseFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return targets, nil
}

// ParseFile reads targets in YAML. An entry is an address with tags, or a text as for [ParseTarget]:
//
//	agents:
//	  - address: ns1:10853
//	    tags: {pop: ams1, country: nl}
//	  - ns2:10853,pop=fra1
//
// ParseFile accepts nothing else. Its error names the line of the first mistake.
func ParseFile(data []byte) ([]Target, error) {
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("the file is too long: at most %d MiB", maxFileSize>>20)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty: give a list of agents")
		}
		return nil, err // it has the line
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has several documents: give one")
	}
	var targets []Target
	err := members(doc.Content[0], "the file", func(key string, value *yaml.Node) (err error) {
		if key != "agents" {
			return fmt.Errorf("unknown key %.50q: give agents", key)
		}
		targets, err = readTargets(value)
		return err
	})
	return targets, err
}

// placed is an error with the line that it concerns.
type placed struct {
	line int
	err  error
}

func (p *placed) Error() string { return fmt.Sprintf("line %d: %v", p.line, p.err) }
func (p *placed) Unwrap() error { return p.err }

// at adds the line of n to an error that has no line yet.
func at(n *yaml.Node, err error) error {
	if _, has := errors.AsType[*placed](err); has || err == nil {
		return err
	}
	return &placed{n.Line, err}
}

// members calls each for each member of a mapping. An error that each returns gets the line of the member's key.
func members(n *yaml.Node, what string, each func(key string, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return at(n, fmt.Errorf("%s: give KEY: VALUE", what))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return at(key, fmt.Errorf("%s: a key is not a text", what))
		}
		if seen[key.Value] {
			return at(key, fmt.Errorf("key %.50q appears twice", key.Value))
		}
		seen[key.Value] = true
		if err := each(key.Value, value); err != nil {
			return at(key, err)
		}
	}
	return nil
}

// readTargets reads the list of agents.
func readTargets(n *yaml.Node) ([]Target, error) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, nil // "agents:" with nothing after it
	}
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New("agents is not a list")
	}
	if len(n.Content) > maxTargets {
		return nil, fmt.Errorf("%d agents: at most %d", len(n.Content), maxTargets)
	}
	targets := make([]Target, 0, len(n.Content))
	lines := make(map[string]int, len(n.Content))
	for _, entry := range n.Content {
		t, err := readTarget(entry)
		if line, twice := lines[t.URL]; err == nil && twice {
			err = fmt.Errorf("agent %s is also in line %d", t.URL, line)
		}
		if err != nil {
			return nil, at(entry, err)
		}
		lines[t.URL] = entry.Line
		targets = append(targets, t)
	}
	return targets, nil
}

// readTarget reads one agent.
func readTarget(n *yaml.Node) (t Target, err error) {
	if n.Kind == yaml.ScalarNode {
		return ParseTarget(n.Value)
	}
	err = members(n, "an agent", func(key string, value *yaml.Node) (err error) {
		switch key {
		case "address":
			if value.Kind != yaml.ScalarNode {
				return errors.New("the address is not a text")
			}
			if t.URL, err = parseAddress(value.Value); err != nil {
				return fmt.Errorf("agent %.200q: %w", value.Value, err)
			}
			return nil
		case "tags":
			t.Tags, err = readTags(value)
			return err
		case "name":
			return errors.New("an agent's name is its own: set it with pktvisord --name")
		}
		return fmt.Errorf("unknown key %.50q: give address and tags", key)
	})
	if err == nil && t.URL == "" {
		err = errors.New("an agent has no address")
	}
	return t, err
}

// readTags reads the tags of an agent.
func readTags(n *yaml.Node) (metric.Tags, error) {
	var list []string
	err := members(n, "tags", func(key string, value *yaml.Node) error {
		if value.Kind != yaml.ScalarNode {
			return errors.New("the value of a tag is not a text")
		}
		list = append(list, key+"="+value.Value)
		_, err := metric.ParseTags(list[len(list)-1:])
		return err
	})
	if err != nil {
		return "", err
	}
	return metric.ParseTags(list)
}
