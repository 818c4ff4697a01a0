package bpf

// expr is a node of the syntax tree: and, or, not, or one of the primitives below.
type expr interface{ position() int }

type (
	andExpr struct{ l, r expr }
	orExpr  struct{ l, r expr }
	notExpr struct{ x expr }

	// idExpr is an address, port or protocol with its qualifiers, which it may take over from an earlier one:
	// "host a or b".
	idExpr struct {
		qual qual
		id   token
		mask token // "net id mask mask"
		bits token // "net id/bits"
		pos  int
	}

	// protoExpr is a protocol alone: "tcp".
	protoExpr struct {
		proto keyword
		pos   int
	}

	// castExpr is "broadcast" or "multicast", with or without a protocol.
	castExpr struct {
		proto keyword
		multi bool
		pos   int
	}

	// relExpr compares two arithmetic expressions.
	relExpr struct {
		rel  relation
		not  bool // the comparison's result is inverted
		l, r *arith
		pos  int
	}

	// wordExpr is a keyword with at most one number: vlan, mpls, less, inbound and so on.
	wordExpr struct {
		word   keyword
		num    uint32
		hasNum bool
		numPos int
		pos    int
	}

	// byteExpr is "byte num op num".
	byteExpr struct {
		idx, val uint32
		op       kind
		pos      int
	}

	// wlanExpr tests bits of an 802.11 frame control field, in its type byte or its direction byte.
	wlanExpr struct {
		direction   bool
		value, mask uint32
		pos         int
	}

	// llcExpr is "llc", alone or with a frame type.
	llcExpr struct {
		test llcTest
		pos  int
	}
)

func (e andExpr) position() int   { return e.l.position() }
func (e orExpr) position() int    { return e.l.position() }
func (e notExpr) position() int   { return e.x.position() }
func (e *idExpr) position() int   { return e.pos }
func (e protoExpr) position() int { return e.pos }
func (e castExpr) position() int  { return e.pos }
func (e relExpr) position() int   { return e.pos }
func (e wordExpr) position() int  { return e.pos }
func (e byteExpr) position() int  { return e.pos }
func (e wlanExpr) position() int  { return e.pos }
func (e llcExpr) position() int   { return e.pos }

// qual is what an identifier means: the qualifiers before it.
type qual struct {
	proto keyword // keyNone: any that fits
	dir   direction
	typ   idType
}

type direction uint8

const (
	dirDefault direction = iota // source or destination
	dirSrc
	dirDst
	dirOr
	dirAnd
	dirAddr1
	dirAddr2
	dirAddr3
	dirAddr4
	dirRA
	dirTA
)

type idType uint8

const (
	typeDefault   idType = iota // host
	typeUndefined               // no qualifier to take over: "tcp or 53"
	typeHost
	typeNet
	typePort
	typePortRange
	typeProto
)

var typeNames = map[idType]string{
	typeDefault: "host", typeHost: "host", typeNet: "net", typePort: "port",
	typePortRange: "portrange", typeProto: "proto",
}

// arith is an arithmetic expression.
type arith struct {
	op    arithOp
	num   uint32  // opNum
	proto keyword // opLoad
	size  uint32  // opLoad
	l, r  *arith  // opLoad: l is the index; opNeg: l
	pos   int
}

type arithOp uint8

const (
	opNum arithOp = iota
	opLen
	opLoad
	opNeg
	opAdd
	opSub
	opMul
	opDiv
	opMod
	opAnd
	opOr
	opXor
	opLsh
	opRsh
)

// llcTest is a test of an LLC frame's control field.
type llcTest struct {
	any         bool // every LLC frame
	notSet      bool // the test holds if no bit of mask is set; without it, if the bits have value
	value, mask uint32
}
