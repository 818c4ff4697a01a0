package ui

// refusedText returns why the agent does not answer about what is shown, or "" if it does or nothing is known.
func (m *Model) refusedText() string {
	if m.have || m.link.state != away || !m.link.answers {
		return ""
	}
	return m.link.reason
}

// drawRefusal shows why there is nothing to show, and how to choose a policy if there are some.
func (m *Model) drawRefusal(s *screen) {
	lines := m.wrapped("", m.refusedText(), bad, s.w-2)
	if len(m.policies()) > 0 && m.of != nil {
		lines = append(lines, m.wrapped("", "P chooses a policy.", plain, s.w-2)...)
	}
	for i, f := range lines[:min(len(lines), s.h-headLines-footLines)] {
		s.put(1, headLines+i, s.w-2, style{fg: f.tone}, f.text)
	}
}
