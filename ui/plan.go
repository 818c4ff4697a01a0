package ui

// panel is one part of a view that can have the focus.
type panel struct {
	kind  panelKind
	table *table  // of a tablePanel
	block blockID // of a blockPanel
	title string
	// For a numbersPanel or spreadsPanel: the section of its metrics, and the metrics.
	section string
	metrics []metric
}

type panelKind uint8

const (
	tablePanel panelKind = iota
	trafficPanel
	minutesPanel
	factsPanel
	blockPanel
	numbersPanel // counters, gauges and cardinalities of a section without its own screen
	spreadsPanel // rates or histograms of such a section
	fleetPanel
	changesPanel
	attackPanel // what the tables about attacks mean in words
)

// The tables of each view, in reading order.
var (
	overviewTables = []tableID{qname2, qname3, nxdomain, slowIn, qtypes, rcodes, srvfail, slowOut,
		refused, ipv4, ipv6, udpPorts, geoLoc, asn, timeout}
	roomyTables = []tableID{nodata, noerror, responseBytes, ecs, opcodes} // shown if there is room
	dnsTables   = []tableID{qname2, qname3, qtypes, rcodes, nxdomain, nodata, srvfail, refused,
		slowIn, slowOut, timeout, noerror, responseBytes, udpPorts, ecs, opcodes}
	networkTables = []tableID{ipv4, ipv6, geoLoc, asn}
)

// blockID is one of the blocks of counters above the panels.
type blockID uint8

const (
	packetsBlock blockID = iota
	ratesBlock
	dnsBlock
	xactsBlock
	messagesBlock
	sizesBlock
	dnsSizesBlock
	captureBlock
	decodeBlock
	sampleBlock
)

// blockHeight is the height of a block: a title and five lines.
const blockHeight = 6

// blockTitles are the titles of blocks that are panels.
var blockTitles = [...]string{
	packetsBlock: "Packets", ratesBlock: "Rates", dnsBlock: "DNS", xactsBlock: "Transactions", messagesBlock: "Messages",
	sizesBlock: "Sizes", dnsSizesBlock: "DNS sizes", captureBlock: "Capture", decodeBlock: "Decoding", sampleBlock: "Sample, agent",
}

// panels returns the panels of the view at this size. If there is no room for the blocks above them, the blocks are the
// first panels.
func (m *Model) panels() []panel {
	var out []panel
	if m.cramped() {
		for _, id := range m.blocksOf() {
			out = append(out, panel{kind: blockPanel, block: id, title: blockTitles[id]})
		}
	}
	return append(out, m.panelsOf()...)
}

// panelsOf returns the panels of the view, without its blocks.
func (m *Model) panelsOf() []panel {
	var ids []tableID
	switch m.view {
	case dnsView:
		ids = dnsTables
	case fleetView:
		return []panel{{kind: fleetPanel, title: "Fleet"}}
	case changesView:
		return []panel{{kind: changesPanel, title: "What changed"}}
	case attackView:
		return m.attackPanels()
	case networkView:
		ids = networkTables
	case healthView:
		return []panel{{kind: minutesPanel, title: "Minutes"}, {kind: factsPanel, title: "Agent"}}
	case otherView:
		return m.others
	default:
		ids = overviewTables
		if m.roomy() {
			ids = append(ids[:len(ids):len(ids)], roomyTables...)
		}
	}
	out := make([]panel, 0, len(ids)+1)
	for _, id := range ids {
		t := &m.tables[id]
		out = append(out, panel{kind: tablePanel, table: t, title: t.title})
	}
	if m.view == dnsView {
		for i := range m.more {
			out = append(out, panel{kind: tablePanel, table: &m.more[i], title: m.more[i].title})
		}
	}
	return append(out, panel{kind: trafficPanel, title: "Traffic"})
}

// blocks returns the blocks above the panels.
func (m *Model) blocks() []blockID {
	if m.cramped() {
		return nil
	}
	return m.blocksOf()
}

// cramped reports whether the blocks would leave no room for a panel.
func (m *Model) cramped() bool {
	cols := m.columns()
	rows := (len(m.blocksOf()) + cols - 1) / cols
	return m.height-headLines-footLines-rows*blockHeight < 2
}

// columns returns how many columns fit.
func (m *Model) columns() int { return min(max((m.width+gap)/(minColumn+gap), 1), 5) }

func (m *Model) blocksOf() []blockID {
	switch m.view {
	case dnsView:
		return []blockID{dnsBlock, xactsBlock, messagesBlock, dnsSizesBlock}
	case networkView:
		return []blockID{packetsBlock, ratesBlock, sizesBlock, decodeBlock}
	case healthView:
		return []blockID{captureBlock, decodeBlock, sampleBlock}
	case otherView, fleetView, changesView, attackView:
		return nil
	}
	if m.roomy() {
		return []blockID{packetsBlock, ratesBlock, dnsBlock, xactsBlock, messagesBlock}
	}
	return []blockID{packetsBlock, ratesBlock, dnsBlock, xactsBlock}
}

// roomy reports whether the overview can show more than the original did.
func (m *Model) roomy() bool { return m.width >= 5*minColumn+4*gap && m.height >= 60 }

// box is the place of a panel or a block.
type box struct {
	panel      int // index in panels(), or of the block
	x, y, w, h int
}

// plan says where everything is drawn. It depends only on the size, the view and the focus.
type plan struct {
	cols   int
	blocks []box
	boxes  []box
	last   int   // the panel that fills the rest of its row
	strip  bool  // a line of rates instead of the blocks
	pages  []int // the first panel of each page
	page   int   // the page that is shown: the one with the focus
}

const (
	minColumn = 38 // the least width of a column, in cells
	gap       = 2  // cells between columns
	headLines = 2  // title bar and status line
	footLines = 1
	leastRows = 4  // a panel with fewer rows goes to another page
	fullPanel = 12 // a title, ten rows and a blank line
)

func (m *Model) plan() plan {
	ps := m.panels()
	var p plan
	cols := m.columns()
	p.cols = cols
	tallest := fullPanel
	if m.view == healthView {
		p.cols, tallest = min(cols, 1+m.width/122), m.height
	}
	switch m.view {
	case fleetView, changesView:
		tallest = m.height
	case attackView:
		return m.planAttack(len(ps), cols)
	case otherView:
		for i := range ps {
			tallest = max(tallest, len(ps[i].metrics)+2) // a title and a blank line
		}
	}
	top := headLines
	blocks := m.blocks()
	for i := range blocks {
		x, w := column(i%cols, cols, m.width)
		p.blocks = append(p.blocks, box{i, x, top + i/cols*blockHeight, w, blockHeight})
	}
	rows := (len(blocks) + cols - 1) / cols
	top += rows * blockHeight
	room := m.height - top - footLines

	// The traffic graph is drawn beside the blocks if they leave a gap. Otherwise it is under the tables if there is room, or
	// among the tables.
	grid, last := len(ps), len(ps)-1
	p.last = last
	if ps[last].kind == trafficPanel {
		tall := (len(ps) - 1 + p.cols - 1) / p.cols * fullPanel
		switch used := len(blocks) % cols; {
		case used != 0 && cols > 2:
			x, _ := column(used, cols, m.width)
			p.boxes = append(p.boxes, box{last, x, top - blockHeight, m.width - x, blockHeight})
			grid--
		case room-tall >= 7:
			p.boxes = append(p.boxes, box{last, 0, top + tall, m.width, min(room-tall, 20)})
			room = tall
			grid--
		}
	}
	gridRows := (grid + p.cols - 1) / p.cols
	if m.view == healthView && p.cols == 1 && !m.cramped() && room >= 2*(leastRows+2) { // the facts get the lines that the minutes leave
		p.pages = []int{0}
		upper := min(len(m.minutes)+3, room/2)
		p.boxes = []box{{0, 0, top, m.width, upper}, {1, 0, top + upper, m.width, room - upper}}
		return p
	}
	if room/gridRows > leastRows {
		p.pages = []int{0}
		p.place(m.width, top, room, tallest, 0, grid)
		return p
	}
	p.paginate(m, top, room, len(ps), tallest)
	return p
}

// planAttack puts the summary above the tables, on each page. If it would leave little room for them, it has a page of its own.
func (m *Model) planAttack(n, cols int) plan {
	p := plan{cols: cols, last: -1}
	all := m.height - headLines - footLines
	head := min(m.attackHeight(), all)
	alone := all-head < leastRows+2 || head > max(m.height*3/5, 6)
	room := all - head
	if alone {
		head, room = all, all
		p.pages = []int{0}
	}
	each := max(1, room/(leastRows+1)) * cols
	focus := min(max(m.focus[attackView], 0), n-1)
	for at := 1; at < n; at += each {
		if focus >= at {
			p.page = len(p.pages)
		}
		p.pages = append(p.pages, at)
	}
	p.pages[0] = 0
	summary := box{0, 0, headLines, m.width, head}
	switch from := max(p.pages[p.page], 1); {
	case !alone:
		p.place(m.width, headLines+head, room, fullPanel, from, min(from+each, n))
		p.boxes = append(p.boxes, summary)
	case p.page == 0:
		p.boxes = append(p.boxes, summary)
	default:
		p.place(m.width, headLines, room, fullPanel, from, min(from+each, n))
	}
	return p
}

// paginate distributes n panels over pages. The first page has the blocks; the others have a strip of rates in their
// place.
func (p *plan) paginate(m *Model, top, room, n, tallest int) {
	p.boxes = nil
	const height = leastRows + 2
	first := room / height * p.cols
	if first == 0 && room > 1 {
		first = p.cols
	}
	stripTop := headLines + 1
	stripRoom := m.height - stripTop - footLines
	each := max(1, stripRoom/height) * p.cols
	focus := min(m.focus[m.view], n-1)
	for at := 0; at < n; {
		size := each
		if at == 0 && first > 0 {
			size = first
		}
		if focus >= at {
			p.page = len(p.pages)
		}
		p.pages = append(p.pages, at)
		at += size
	}
	from := p.pages[p.page]
	to := n
	if p.page+1 < len(p.pages) {
		to = p.pages[p.page+1]
	}
	if p.page == 0 && first > 0 {
		p.place(m.width, top, room, tallest, from, to)
		return
	}
	p.blocks, p.strip = nil, true
	p.place(m.width, stripTop, stripRoom, tallest, from, to)
}

// place arranges panels from..to-1 in a grid of equal rows.
func (p *plan) place(width, top, room, tallest, from, to int) {
	rows := max(1, (to-from+p.cols-1)/p.cols)
	for i := from; i < to; i++ {
		x, w := column((i-from)%p.cols, p.cols, width)
		r := (i - from) / p.cols
		y, next := top+r*room/rows, top+(r+1)*room/rows
		if room/rows >= tallest {
			y, next = top+r*tallest, top+(r+1)*tallest
		}
		if i == to-1 && i == p.last {
			w = width - x
		}
		p.boxes = append(p.boxes, box{i, x, y, w, next - y})
	}
}

// at returns the box of the panel at a cell of the screen.
func (p *plan) at(x, y int) (box, bool) {
	for _, b := range p.boxes {
		if x >= b.x && x < b.x+b.w && y >= b.y && y < b.y+b.h {
			return b, true
		}
	}
	return box{}, false
}

// column returns the position and width of column i of n on a screen of the given width. The last column extends to the
// edge.
func column(i, n, width int) (x, w int) {
	x = i * (width + gap) / n
	return x, (i+1)*(width+gap)/n - x - gap
}
