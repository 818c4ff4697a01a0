package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"pktvisor/internal/regular"
)

// Role says what a user may do.
type Role uint8

const (
	// Read may read everything: the methods GET and HEAD.
	Read Role = iota + 1
	// Admin may also change something.
	Admin
)

// The bounds of an auth file.
const (
	maxUsersFile = 1 << 20 // bytes
	maxUsers     = 4096    // lines with a user
	maxPerName   = 4       // lines of one name
	maxUserName  = 255     // bytes
	maxCost      = 14      // of bcrypt: about a second
	maxMistakes  = 10      // that are reported
	// maxSecret bounds a token or password, in bytes. bcrypt reads no more.
	maxSecret = 72
	// maxKnown bounds the passwords that are known to be right.
	maxKnown = 1024
)

// Users are those who may log in. It may be used by any number of goroutines.
type Users struct {
	names  map[string][]user
	tokens map[[sha256.Size]byte]Role

	// A password is checked with bcrypt once. After that, its hash with a random salt is known.
	salt  [16]byte
	mu    sync.Mutex
	known map[[sha256.Size]byte]Role
	turn  chan struct{} // held while bcrypt runs: one at a time, whatever the clients send
}

// user is one line.
type user struct {
	role  Role
	token [sha256.Size]byte
	hash  []byte // of bcrypt; nil for a token
}

// readUsers reads an auth file.
func readUsers(path string) (*Users, error) {
	data, err := regular.Read(path, maxUsersFile)
	if err != nil {
		return nil, fmt.Errorf("--auth-file: %w", err)
	}
	u, err := ParseUsers(data)
	if err != nil {
		return nil, fmt.Errorf("--auth-file %s: %w", path, err)
	}
	return u, nil
}

// ParseUsers reads the text of an auth file. Each line is ROLE NAME HASH. ROLE is read or admin. HASH is what
// "htpasswd -nB" prints for a password (bcrypt, cost at most 14), or sha256: and the hexadecimal SHA-256 of a token. A
// name may have up to four lines, so that a token or password can be replaced. Lines that begin with # are comments.
// ParseUsers reports the first ten mistakes with their lines. It does not repeat a secret.
func ParseUsers(text []byte) (*Users, error) {
	u := &Users{names: map[string][]user{}, tokens: map[[sha256.Size]byte]Role{}, known: map[[sha256.Size]byte]Role{}, turn: make(chan struct{}, 1)}
	rand.Read(u.salt[:]) // never fails
	var errs []error
	number, users := 0, 0
	for line := range bytes.Lines(text) {
		number++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if users++; users > maxUsers {
			return nil, fmt.Errorf("line %d: more than %d users", number, maxUsers)
		}
		if err := u.add(fields); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", number, err))
		}
		if len(errs) == maxMistakes {
			errs = append(errs, errors.New("the lines after that were not read"))
			break
		}
	}
	if users == 0 {
		errs = append(errs, errors.New("it has no user: give lines of the form ROLE NAME HASH"))
	}
	return u, errors.Join(errs...)
}

// add adds the user of a line.
func (u *Users) add(fields []string) error {
	if len(fields) != 3 {
		return fmt.Errorf("%d words: give ROLE NAME HASH", len(fields))
	}
	var n user
	switch fields[0] {
	case "read":
		n.role = Read
	case "admin":
		n.role = Admin
	default:
		return fmt.Errorf("%.20q is not a role: give read or admin", fields[0])
	}
	name := fields[1]
	if len(name) > maxUserName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == ':' }) {
		return fmt.Errorf("%.80q is not a name: give at most %d bytes of printable characters without a colon", name, maxUserName)
	}
	if len(u.names[name]) == maxPerName {
		return fmt.Errorf("more than %d lines for %s", maxPerName, name)
	}
	digits, token := strings.CutPrefix(fields[2], "sha256:")
	switch {
	case token:
		sum, err := hex.DecodeString(digits)
		if err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("the hash of %s: give the 64 hexadecimal digits of a SHA-256 that follow sha256", name)
		}
		n.token = [sha256.Size]byte(sum)
		if n.token == sha256.Sum256(nil) {
			return fmt.Errorf("the hash of %s is that of an empty token", name)
		}
		u.tokens[n.token] = max(u.tokens[n.token], n.role)
	default:
		cost, err := bcrypt.Cost([]byte(fields[2]))
		if err != nil {
			return fmt.Errorf("the hash of %s is neither one of bcrypt, as htpasswd -nB prints it, nor sha256: with digits", name)
		}
		if cost > maxCost {
			return fmt.Errorf("the hash of %s has cost %d: give at most %d, or each log-in takes seconds", name, cost, maxCost)
		}
		n.hash = []byte(fields[2])
	}
	u.names[name] = append(u.names[name], n)
	return nil
}

// token returns the role of a token, or 0.
func (u *Users) token(secret string) Role { return u.tokens[sha256.Sum256([]byte(secret))] }

// remembered returns the role of a name and password that were right before, or of a name and its token; or 0.
func (u *Users) remembered(name, secret string) Role {
	sum := sha256.Sum256([]byte(secret))
	var role Role
	for _, n := range u.names[name] {
		if n.hash == nil && n.token == sum {
			role = max(role, n.role)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return max(role, u.known[u.key(name, secret)])
}

func (u *Users) key(name, secret string) [sha256.Size]byte {
	return sha256.Sum256(join(u.salt[:], name, secret))
}

// join joins the parts, with a zero byte after the name, which no name of the file has.
func join(salt []byte, name, secret string) []byte {
	return append(append(append(append([]byte{}, salt...), name...), 0), secret...)
}

// nobody is a hash that no password has. It makes a log-in with an unknown name take as long as another.
var nobody = []byte("$2a$10$000000000000000000000uOeVRgVxxXjXBS6LsBd4sO4aSx2pnL4W")

// password checks a name and password with bcrypt, and remembers them if they are right. The caller holds the turn.
func (u *Users) password(name, secret string) Role {
	lines := u.names[name]
	if len(lines) == 0 {
		bcrypt.CompareHashAndPassword(nobody, []byte(secret))
		return 0
	}
	var role Role
	for _, n := range lines {
		if n.hash != nil && bcrypt.CompareHashAndPassword(n.hash, []byte(secret)) == nil {
			role = max(role, n.role)
		}
	}
	if role != 0 {
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.known) >= maxKnown {
			clear(u.known)
		}
		u.known[u.key(name, secret)] = role
	}
	return role
}
