package bpf

import "strings"

// word parses a primitive that is one keyword, with or without a number.
func (p *parser) word() expr {
	t := p.next()
	e := wordExpr{word: t.key, pos: t.pos}
	switch t.key {
	case keyLess, keyGreater:
		n := p.expect(tokNumber, "a length in bytes")
		e.num, e.hasNum, e.numPos = n.num, true, n.pos
		return e
	case keyIfIndex:
		n := p.expect(tokNumber, "an interface index")
		e.num, e.hasNum, e.numPos = n.num, true, n.pos
		return e
	case keyVLAN, keyMPLS, keyPPPoES, keyGeneve:
		if n, ok := p.optionalNumber(); ok {
			e.num, e.hasNum, e.numPos = n.num, true, n.pos
		}
		return e
	case keyInbound, keyOutbound, keyPPPoED:
		return e
	case keyByte:
		return p.byteTest(t)
	case keyLLC:
		return p.llc(t)
	case keyPF, keyRNR:
		p.fail(t, "%v is not supported: only BSD's pflog captures have it", t)
	case keyATM:
		p.fail(t, "%v is not supported: it is for ATM links", t)
	case keySS7:
		p.fail(t, "%v is not supported: it is for SS7 links", t)
	default:
		p.fail(t, "expected a primitive such as \"host\" or \"port\", got %v", t)
	}
	return nil
}

// optionalNumber parses a number, which may be in parentheses.
func (p *parser) optionalNumber() (token, bool) {
	i := p.i
	for p.toks[i].kind == '(' {
		i++
	}
	n := p.toks[i]
	if n.kind != tokNumber {
		return token{}, false
	}
	open := i - p.i
	p.i = i + 1
	for range open {
		p.expect(')', "\")\"")
	}
	return n, true
}

func (p *parser) byteTest(t token) expr {
	idx := p.expect(tokNumber, "a byte's offset")
	op := p.next()
	if op.kind == tokEOF || !strings.ContainsRune("&|<>=", rune(op.kind)) {
		p.fail(op, "expected one of = < > & |, got %v", op)
	}
	val := p.expect(tokNumber, "a byte's value")
	return byteExpr{idx: idx.num, op: op.kind, val: val.num, pos: t.pos}
}

// relations are the comparison operators. BPF has three of them, and the others are inverted.
var relations = map[kind]struct {
	rel relation
	not bool
}{
	'>': {relGT, false}, tokGE: {relGE, false}, '=': {relEQ, false},
	tokLE: {relGT, true}, '<': {relGE, true}, tokNE: {relEQ, true},
}

func (p *parser) relation() expr {
	e := relExpr{pos: p.peek().pos}
	e.l = p.arith(0)
	op := p.next()
	r, ok := relations[op.kind]
	if !ok {
		p.fail(op, "expected a comparison such as = or >, got %v", op)
		return e
	}
	e.rel, e.not = r.rel, r.not
	e.r = p.arith(0)
	return e
}

// binaryOps are the arithmetic operators and how tightly they bind. libpcap's grammar does not rank % and ^, so
// everything to their right belongs to them. This is kept here.
var binaryOps = map[kind]struct {
	op   arithOp
	prec int
}{
	'|': {opOr, 1}, '&': {opAnd, 2}, tokLsh: {opLsh, 3}, tokRsh: {opRsh, 3},
	'+': {opAdd, 4}, '-': {opSub, 4}, '*': {opMul, 5}, '/': {opDiv, 5},
	'%': {opMod, unranked}, '^': {opXor, unranked},
}

const (
	unranked  = -1
	unaryPrec = 6
)

// arith parses operands joined by operators that bind tighter than prec.
func (p *parser) arith(prec int) *arith {
	if !p.enter(p.peek()) {
		return &arith{}
	}
	defer p.leave()
	l := p.operand()
	for p.err == nil {
		t := p.peek()
		op, ok := binaryOps[t.kind]
		switch {
		case !ok:
			return l
		case op.prec == unranked:
			p.next()
			l = &arith{op: op.op, l: l, r: p.arith(0), pos: t.pos}
		case op.prec <= prec:
			return l
		default:
			p.next()
			l = &arith{op: op.op, l: l, r: p.arith(op.prec), pos: t.pos}
		}
	}
	return l
}

func (p *parser) operand() *arith {
	t := p.next()
	switch {
	case t.kind == tokNumber:
		return &arith{op: opNum, num: t.num, pos: t.pos}
	case t.kind == '-':
		return &arith{op: opNeg, l: p.arith(unaryPrec), pos: t.pos}
	case t.kind == '(':
		a := p.arith(0)
		p.expect(')', "\")\"")
		return a
	case t.kind == tokKey && t.key == keyLen:
		return &arith{op: opLen, pos: t.pos}
	case t.kind == tokKey && t.key.isProto():
		p.expect('[', "\"[\" after "+t.text)
		a := &arith{op: opLoad, proto: t.key, size: 1, l: p.arith(0), pos: t.pos}
		if p.peek().kind == ':' {
			p.next()
			size := p.expect(tokNumber, "a size of 1, 2 or 4 bytes")
			if p.err == nil && size.num != 1 && size.num != 2 && size.num != 4 {
				p.fail(size, "a field's size is 1, 2 or 4 bytes, not %s", size.text)
			}
			a.size = size.num
		}
		p.expect(']', "\"]\"")
		return a
	}
	p.fail(t, "expected a number, len or a field such as ip[0], got %v", t)
	return &arith{}
}

// 802.11 frame control: the type and subtype bits of its first byte, and the direction bits of its second.
const (
	wlanTypeMask    = 0x0c
	wlanSubtypeMask = 0xf0
	wlanDirMask     = 0x03

	wlanManagement = 0x00
	wlanControl    = 0x04
	wlanData       = 0x08
)

var wlanTypes = map[string]uint32{
	"data": wlanData, "mgt": wlanManagement, "management": wlanManagement,
	"ctl": wlanControl, "control": wlanControl,
}

var wlanSubtypes = map[uint32]map[string]uint32{
	wlanManagement: {
		"assocreq": 0x00, "assoc-req": 0x00, "assocresp": 0x10, "assoc-resp": 0x10,
		"reassocreq": 0x20, "reassoc-req": 0x20, "reassocresp": 0x30, "reassoc-resp": 0x30,
		"probereq": 0x40, "probe-req": 0x40, "proberesp": 0x50, "probe-resp": 0x50,
		"beacon": 0x80, "atim": 0x90, "disassoc": 0xa0, "disassociation": 0xa0,
		"auth": 0xb0, "authentication": 0xb0, "deauth": 0xc0, "deauthentication": 0xc0,
	},
	wlanControl: {
		"ps-poll": 0xa0, "rts": 0xb0, "cts": 0xc0, "ack": 0xd0, "cf-end": 0xe0,
		"cf-end-ack": 0xf0,
	},
	wlanData: {
		"data": 0x00, "data-cf-ack": 0x10, "data-cf-poll": 0x20, "data-cf-ack-poll": 0x30,
		"null": 0x40, "cf-ack": 0x50, "cf-poll": 0x60, "cf-ack-poll": 0x70,
		"qos-data": 0x80, "qos-data-cf-ack": 0x90, "qos-data-cf-poll": 0xa0,
		"qos-data-cf-ack-poll": 0xb0, "qos": 0xc0, "qos-cf-poll": 0xe0,
		"qos-cf-ack-poll": 0xf0,
	},
}

var wlanDirections = map[string]uint32{"nods": 0, "tods": 1, "fromds": 2, "dstods": 3}

// wlan parses "type t", "type t subtype s", "subtype s" or "dir d".
func (p *parser) wlan() expr {
	t := p.next()
	e := wlanExpr{pos: t.pos}
	switch t.key {
	case keyDir:
		e.direction, e.mask = true, wlanDirMask
		e.value = p.wlanValue(wlanDirections, 0xffffffff, "an 802.11 direction")
	case keyType:
		e.value, e.mask = p.wlanValue(wlanTypes, wlanTypeMask, "an 802.11 frame type"), wlanTypeMask
		if s := p.peek(); s.kind == tokKey && s.key == keySubtype {
			p.next()
			e.value |= p.wlanValue(wlanSubtypes[e.value], wlanSubtypeMask,
				"a subtype of that 802.11 frame type")
			e.mask |= wlanSubtypeMask
		}
	case keySubtype:
		e.mask = wlanTypeMask | wlanSubtypeMask
		s := p.next()
		for _, typ := range []uint32{wlanManagement, wlanControl, wlanData} {
			if v, ok := wlanSubtypes[typ][strings.ToLower(s.text)]; ok && s.kind == tokWord {
				e.value = v | typ
				return e
			}
		}
		p.fail(s, "expected the name of an 802.11 frame subtype, got %v", s)
	}
	return e
}

// wlanValue parses a name in the table, or a number without bits outside the mask.
func (p *parser) wlanValue(names map[string]uint32, mask uint32, what string) uint32 {
	t := p.next()
	if v, ok := names[strings.ToLower(t.text)]; ok && t.kind == tokWord {
		return v
	}
	if t.kind != tokNumber || t.num&^mask != 0 {
		p.fail(t, "expected %s, got %v", what, t)
	}
	return t.num
}

// llcTypes are the LLC frame types, by the bits of the control field.
var llcTypes = map[string]llcTest{
	"i": {notSet: true, mask: 0x01}, "s": {value: 0x01, mask: 0x03},
	"u":  {value: 0x03, mask: 0x03},
	"rr": {value: 0x01, mask: 0x0f}, "rnr": {value: 0x05, mask: 0x0f},
	"rej": {value: 0x09, mask: 0x0f},
	"ui":  {value: 0x03, mask: 0xef}, "ua": {value: 0x63, mask: 0xef},
	"disc": {value: 0x43, mask: 0xef}, "dm": {value: 0x0f, mask: 0xef},
	"sabme": {value: 0x6f, mask: 0xef}, "test": {value: 0xe3, mask: 0xef},
	"xid": {value: 0xaf, mask: 0xef}, "frmr": {value: 0x87, mask: 0xef},
}

func (p *parser) llc(t token) expr {
	e := llcExpr{test: llcTest{any: true}, pos: t.pos}
	n := p.peek()
	if n.kind != tokWord && (n.kind != tokKey || n.text != "rnr" && n.text != "rulenum") {
		return e
	}
	p.next()
	name := strings.ToLower(n.text)
	if n.kind == tokKey {
		name = "rnr"
	}
	test, ok := llcTypes[name]
	if !ok {
		p.fail(n, "expected the name of an LLC frame type, got %v", n)
	}
	e.test = test
	return e
}
