package bpf

const (
	// maxTokens bounds the work that one expression can ask for.
	maxTokens = 20000
	maxDepth  = 500 // of nested parentheses, nots and minus signs
)

// parser turns tokens into a syntax tree. It follows libpcap's grammar, in which "and" and "or" have the same
// precedence and associate to the left, and in which an identifier without qualifiers takes over those before it.
type parser struct {
	toks  []token
	i     int
	close []int // the index of the ')' for each '(', for error messages and look-ahead
	depth int
	err   *Error
}

// parse returns nil for an expression without words, which matches every packet.
func parse(s string) (expr, *Error) {
	toks, err := lex(s)
	if err != nil {
		return nil, err
	}
	if len(toks) == 1 {
		return nil, nil
	}
	p := &parser{toks: toks}
	if p.matchParens(); p.err != nil {
		return nil, p.err
	}
	e, _ := p.expr(qual{typ: typeUndefined})
	if t := p.peek(); p.err == nil && t.kind != tokEOF {
		p.fail(t, "expected \"and\" or \"or\", got %v", t)
	}
	return e, p.err
}

func (p *parser) peek() token { return p.toks[p.i] }

// at returns the token n places ahead.
func (p *parser) at(n int) token { return p.toks[min(p.i+n, len(p.toks)-1)] }

func (p *parser) next() token {
	t := p.toks[p.i]
	if t.kind != tokEOF {
		p.i++
	}
	return t
}

// fail records the first error. From then on, the parser sees only the end of the input.
func (p *parser) fail(t token, format string, args ...any) {
	if p.err == nil {
		p.err = errorAt(t.pos, format, args...)
	}
	p.i = len(p.toks) - 1
}

func (p *parser) expect(k kind, what string) token {
	t := p.next()
	if t.kind != k {
		p.fail(t, "expected %s, got %v", what, t)
	}
	return t
}

func (p *parser) enter(t token) bool {
	if p.depth++; p.depth > maxDepth {
		p.fail(t, "nested too deeply: more than %d levels", maxDepth)
	}
	return p.err == nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) matchParens() {
	p.close = make([]int, len(p.toks))
	var open []int
	for i, t := range p.toks {
		switch {
		case t.kind == '(':
			open = append(open, i)
		case t.kind == ')' && len(open) == 0:
			p.fail(t, "this parenthesis was never opened")
			return
		case t.kind == ')':
			p.close[open[len(open)-1]] = i
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		p.fail(p.toks[open[len(open)-1]], "this parenthesis is never closed")
	}
}

// expr = term { ("and" | "or") (term | id) }. It takes and returns the qualifiers that an identifier without its own
// qualifiers takes over.
func (p *parser) expr(q qual) (expr, qual) {
	e, q := p.term(q)
	for {
		op := p.peek().kind
		if op != tokAnd && op != tokOr || p.err != nil {
			return e, q
		}
		p.next()
		var r expr
		if p.idAhead(p.i) {
			r = p.id(q)
		} else {
			r, q = p.term(q)
		}
		e = join(op, e, r)
	}
}

func join(op kind, l, r expr) expr {
	if op == tokAnd {
		return andExpr{l, r}
	}
	return orExpr{l, r}
}

// idAhead reports whether the tokens from i on are an identifier that takes over earlier qualifiers, rather than a
// separate primitive.
func (p *parser) idAhead(i int) bool {
	for {
		switch p.toks[i].kind {
		case '!':
			i++
		case '(':
			end := p.close[i]
			for p.toks[i].kind == '(' {
				i++
			}
			if p.toks[i].kind == tokNumber {
				// (5) is a number, and may begin a sum; so may (5 + …). A number that is compared
				// inside the parentheses is not an identifier either.
				for i++; p.toks[i].kind == ')' && i < end; i++ {
				}
				if i == end {
					i++
				}
				return !continuesArith(p.toks[i].kind)
			}
		case tokWord, tokIPv4, tokIPv6, tokMAC:
			return true
		case tokNumber:
			return !continuesArith(p.toks[i+1].kind)
		default:
			return false
		}
	}
}

func continuesArith(k kind) bool {
	if _, ok := binaryOps[k]; ok {
		return true
	}
	_, ok := relations[k]
	return ok
}

// id = ["not"] (word | address | number) | "(" id { ("and" | "or") id } ")".
func (p *parser) id(q qual) expr {
	t := p.next()
	if !p.enter(t) {
		return nil
	}
	defer p.leave()
	switch t.kind {
	case '!':
		return notExpr{p.id(q)}
	case '(':
		e := p.id(q)
		for p.err == nil && p.peek().kind != ')' {
			op := p.next()
			if op.kind != tokAnd && op.kind != tokOr {
				p.fail(op, "expected \"and\", \"or\" or \")\" after %s, got %v", article(q), op)
				break
			}
			e = join(op.kind, e, p.id(q))
		}
		p.next()
		return e
	case tokWord, tokNumber, tokIPv4, tokIPv6, tokMAC:
		e := &idExpr{qual: q, id: t, pos: t.pos}
		p.netmask(e)
		return e
	}
	p.fail(t, "expected %s, got %v", article(q), t)
	return nil
}

// netmask parses what may follow an address: /bits or mask address.
func (p *parser) netmask(e *idExpr) {
	v4 := e.id.kind == tokIPv4
	switch t := p.peek(); {
	case t.kind == '/' && (v4 || e.id.kind == tokIPv6):
		p.next()
		e.bits = p.expect(tokNumber, "a number of bits")
	case t.kind == '/' && e.id.kind == tokNumber:
		p.fail(t, "a network with a mask is written in full: %s.0.0.0/8", e.id.text)
	case t.kind == tokKey && t.key == keyMask && v4:
		p.next()
		e.mask = p.expect(tokIPv4, "an IPv4 netmask")
	}
}

// article describes what the qualifiers require.
func article(q qual) string {
	switch q.typ {
	case typePort:
		return "a port number or name"
	case typePortRange:
		return "a port range"
	case typeProto:
		return "a protocol number or name"
	case typeNet:
		return "a network"
	case typeUndefined:
		return "a primitive such as \"host\", \"port\" or \"tcp\""
	}
	if q.proto == keyLink {
		return "a MAC address"
	}
	return "a host address"
}

// term parses one primitive, "not" term, or an expression in parentheses.
func (p *parser) term(q qual) (expr, qual) {
	t := p.peek()
	if !p.enter(t) {
		return nil, q
	}
	defer p.leave()
	switch {
	case t.kind == '!':
		p.next()
		e, inner := p.term(q)
		return notExpr{e}, inner
	case t.kind == '(' && !continuesArith(p.toks[p.close[p.i]+1].kind):
		p.next()
		e, _ := p.expr(q)
		if c := p.next(); p.err == nil && c.kind != ')' {
			p.fail(c, "expected \"and\", \"or\" or \")\", got %v", c)
		}
		return e, q
	case t.kind == '(' || t.kind == tokNumber || t.kind == '-',
		t.kind == tokKey && t.key == keyLen,
		t.kind == tokKey && t.key.isProto() && p.at(1).kind == '[':
		return p.relation(), qual{typ: typeUndefined}
	case t.kind == tokKey:
		return p.primitive()
	case t.kind == tokEOF:
		p.fail(t, "the expression ends where a primitive such as \"host\" or \"port\" was expected")
	default:
		p.fail(t, "expected a primitive such as \"host\" or \"port\", got %v", t)
	}
	return nil, q
}

// primitive parses a primitive that begins with a keyword.
func (p *parser) primitive() (expr, qual) {
	undefined := qual{typ: typeUndefined}
	first := p.peek()
	q := qual{}
	if first.key.isProto() {
		q.proto = p.next().key
	}
	t := p.peek()
	if t.kind == tokKey {
		switch t.key {
		case keyBroadcast, keyMulticast:
			p.next()
			return castExpr{proto: q.proto, multi: t.key == keyMulticast, pos: first.pos}, undefined
		case keyType, keySubtype, keyDir:
			return p.wlan(), undefined
		}
		if p.qualifiers(&q) {
			return p.id(q), q
		}
	}
	if q.proto != keyNone {
		return protoExpr{proto: q.proto, pos: first.pos}, undefined
	}
	return p.word(), undefined
}

var directionKeys = map[keyword]direction{
	keySrc: dirSrc, keyDst: dirDst, keyAddr1: dirAddr1, keyAddr2: dirAddr2,
	keyAddr3: dirAddr3, keyAddr4: dirAddr4, keyRA: dirRA, keyTA: dirTA,
}

var typeKeys = map[keyword]idType{
	keyHost: typeHost, keyNet: typeNet, keyPort: typePort, keyPortRange: typePortRange,
}

// qualifiers parses a direction, a type, or both, and reports whether there was one.
func (p *parser) qualifiers(q *qual) bool {
	t := p.peek()
	if d, ok := directionKeys[t.key]; ok {
		p.next()
		q.dir = d
		op, other := p.peek(), p.at(1)
		if d <= dirDst && (op.kind == tokAnd || op.kind == tokOr) && other.kind == tokKey &&
			(other.key == keySrc || other.key == keyDst) && other.key != t.key {
			p.next()
			p.next()
			if q.dir = dirOr; op.kind == tokAnd {
				q.dir = dirAnd
			}
		}
		if t := p.peek(); t.kind == tokKey {
			if typ, ok := typeKeys[t.key]; ok {
				p.next()
				q.typ = typ
			}
		}
		return true
	}
	if typ, ok := typeKeys[t.key]; ok {
		p.next()
		q.typ = typ
		return true
	}
	switch t.key {
	case keyProto:
		p.next()
		q.typ = typeProto
		return true
	case keyProtoChain:
		p.fail(t, "protochain is not supported: the kernel cannot run a program with a loop")
	case keyGateway:
		p.fail(t, "gateway is not supported: write \"ether host MAC and not host address\"")
	}
	return false
}
