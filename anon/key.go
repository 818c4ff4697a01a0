package anon

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"golang.org/x/crypto/argon2"

	"pktvisor/internal/regular"
	"pktvisor/sketch"
)

// DefaultSalt is the salt that DNS TAPIR's edge uses unless it is told another one.
const DefaultSalt = "edm-kdf-salt-val"

// Key is a key of pseudonyms.
type Key struct{ pan [KeyLen]byte }

// RandomKey returns a new key.
func RandomKey() *Key {
	k := new(Key)
	rand.Read(k.pan[:]) // never fails
	return k
}

// The parameters with which DNS TAPIR's edge derives a key: dnstapir/edm, pkg/runner/cryptopan.go.
const (
	kdfPasses  = 1
	kdfKiB     = 64 << 10
	kdfThreads = 4
)

// DeriveKey returns the key that DNS TAPIR's edge makes of a secret and a salt, with Argon2id. It takes 64 MiB of memory
// meanwhile.
func DeriveKey(secret, salt string) *Key {
	k := &Key{[KeyLen]byte(argon2.IDKey([]byte(secret), []byte(salt), kdfPasses, kdfKiB, kdfThreads, KeyLen))}
	debug.FreeOSMemory()
	return k
}

// hexPrefix marks a file that has a key of Crypto-PAn itself.
const hexPrefix = "hex:"

// maxSecret is the most bytes of a secret.
const maxSecret = 1024

// ReadKey reads the file of a key. It has one line, without the white space around it: a secret, from which the key is derived with the salt, or "hex:" and the 64
// hexadecimal digits of a key of Crypto-PAn. The error is one line that names the file, and says nothing of its content.
func ReadKey(path, salt string) (*Key, error) {
	secret, err := regular.Secret(path)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(secret, salt)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return k, nil
}

func parseKey(secret, salt string) (*Key, error) {
	switch {
	case len(secret) > maxSecret:
		return nil, fmt.Errorf("a secret has at most %d bytes", maxSecret)
	case strings.ContainsAny(secret, "\r\n"):
		return nil, errors.New("more than one line: the file has the secret only")
	}
	digits, ok := strings.CutPrefix(secret, hexPrefix)
	if !ok {
		return DeriveKey(secret, salt), nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != KeyLen {
		return nil, fmt.Errorf("%s needs %d hexadecimal digits behind it", hexPrefix, 2*KeyLen)
	}
	return &Key{[KeyLen]byte(b)}, nil
}

// Name names the key without saying anything of it: 16 hexadecimal digits, the same on all hosts that have it.
func (k *Key) Name() string {
	sum := k.sum("name")
	return hex.EncodeToString(sum[:8])
}

// blind returns the key of the hashes of items: see [sketch.Blind].
func (k *Key) blind() *[sketch.BlindKeyLen]byte {
	sum := k.sum("blind")
	return (*[sketch.BlindKeyLen]byte)(sum[:])
}

// sum returns a hash of the key for a purpose.
func (k *Key) sum(purpose string) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("pktvisor "+purpose+" "), k.pan[:]...))
}
