package journal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// A file is a header and then frames, one an entry. All numbers are little-endian.
//
//	header  magic, version (8 bytes) · proof of the key, 0 without one (16) ·
//	        CRC-32C of the file's name and these (4)
//	frame   length of the payload, top bit: sealed (4) · index (8) · CRC-32C of
//	        the payload (4) · CRC-32C of the file's name and these (4) · payload
//
// A frame's head has a checksum of its own, as a chunk's has in Riegeli/records:
// damage to a payload costs that entry alone, and where a head is damaged the next
// whole head is searched for and tells by its index how many were lost. The name,
// with its random part, in every checksum does what the salts of SQLite's WAL do:
// nothing inside a payload, and nothing left of an older file, passes for a frame.
const (
	magic      = "sljrnl\x00\x01"
	headerSize = 28
	headSize   = 20
	sealedBit  = 1 << 31
	sealCost   = 16 // bytes that sealing adds to an entry

	suffix = ".journal"
)

// MaxEntry is the longest entry, in bytes.
const MaxEntry = 16 << 20

func checksum(seed uint32, b []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), b)
}

// fileID is what a file's name says, so that no damage inside hides it.
type fileID struct {
	seq   uint64 // files are added to in this order, each by one process alone
	first uint64 // index of the first entry; entries of that index and later in files before are void
	salt  uint64 // random
}

func newID(seq, first uint64) fileID {
	var salt [8]byte
	rand.Read(salt[:]) // never fails
	return fileID{seq, first, binary.LittleEndian.Uint64(salt[:])}
}

func (id fileID) name() string {
	return fmt.Sprintf("%010d-%020d-%016x%s", id.seq, id.first, id.salt, suffix)
}

// parseName says false for files that are not the journal's.
func parseName(name string) (fileID, bool) {
	base, ok := strings.CutSuffix(name, suffix)
	parts := strings.Split(base, "-")
	if !ok || len(parts) != 3 {
		return fileID{}, false
	}
	seq, err := strconv.ParseUint(parts[0], 10, 64)
	if err != nil {
		return fileID{}, false
	}
	first, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil || first == 0 {
		return fileID{}, false
	}
	salt, err := hex.DecodeString(parts[2])
	if err != nil || len(salt) != 8 {
		return fileID{}, false
	}
	id := fileID{seq, first, binary.BigEndian.Uint64(salt)}
	return id, id.name() == name
}

// seed begins the checksums of the file.
func (id fileID) seed() uint32 { return checksum(0, []byte(id.name())) }

// head is the beginning of a frame.
type head struct {
	size   uint32 // of the payload
	sealed bool
	index  uint64
	sum    uint32
}

// appendFrame appends the frame of an entry; seal is nil for one in the clear.
func appendFrame(dst []byte, seed uint32, seal cipher.AEAD, index uint64, entry []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, headSize)...)
	size := uint32(len(entry))
	if seal == nil {
		dst = append(dst, entry...)
	} else {
		dst = seal.Seal(dst, nonce(index), entry, nil)
		size = (size + sealCost) | sealedBit
	}
	h := dst[at : at+headSize]
	binary.LittleEndian.PutUint32(h, size)
	binary.LittleEndian.PutUint64(h[4:], index)
	binary.LittleEndian.PutUint32(h[12:], checksum(0, dst[at+headSize:]))
	binary.LittleEndian.PutUint32(h[16:], checksum(seed, h[:16]))
	return dst
}

// parseHead reads a head, which is at least headSize bytes; false where it is none.
func parseHead(b []byte, seed uint32) (head, bool) {
	size := binary.LittleEndian.Uint32(b)
	h := head{size &^ sealedBit, size&sealedBit != 0, binary.LittleEndian.Uint64(b[4:]), binary.LittleEndian.Uint32(b[12:])}
	if h.size > MaxEntry+sealCost || h.sealed && h.size < sealCost {
		return head{}, false
	}
	return h, checksum(seed, b[:16]) == binary.LittleEndian.Uint32(b[16:])
}

// keys are made from the user's key for one file, so that the index can be the
// nonce: within a file it is used for one entry only.
type keys struct {
	seal  cipher.AEAD
	proof [16]byte
}

// nonce is the index in the 12 bytes of AES-GCM.
func nonce(index uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), index)
}

// keysOf derives with HKDF-SHA-256 (RFC 5869); without a key all is zero.
func keysOf(key []byte, id fileID) (keys, error) {
	if key == nil {
		return keys{}, nil
	}
	b, err := hkdf.Key(sha256.New, key, []byte(id.name()), "sightline journal 1", 48)
	if err != nil {
		return keys{}, err
	}
	block, err := aes.NewCipher(b[:32])
	if err != nil {
		return keys{}, err
	}
	seal, err := cipher.NewGCM(block)
	return keys{seal, [16]byte(b[32:])}, err
}

func appendHeader(dst []byte, seed uint32, proof [16]byte) []byte {
	at := len(dst)
	dst = append(append(dst, magic...), proof[:]...)
	return binary.LittleEndian.AppendUint32(dst, checksum(seed, dst[at:]))
}

// checkHeader compares a file's header with the key; whole is false where the
// header is damaged and says nothing.
func checkHeader(b []byte, seed uint32, k keys) (whole bool, err error) {
	if checksum(seed, b[:24]) != binary.LittleEndian.Uint32(b[24:]) {
		return false, nil
	}
	proof := [16]byte(b[8:24])
	switch {
	case string(b[:8]) != magic:
		return true, fmt.Errorf("written by another version of this program (%q)", b[:8])
	case proof == [16]byte{}: // in the clear, from before there was a key
		return true, nil
	case k.seal == nil:
		return true, fmt.Errorf("%w: it is encrypted and no key is given", ErrKey)
	case subtle.ConstantTimeCompare(proof[:], k.proof[:]) == 0:
		return true, fmt.Errorf("%w: it was encrypted with another one", ErrKey)
	}
	return true, nil
}

// openFrame returns the entry inside a frame's bytes, part of them where it is in
// the clear; the text says why there is none.
func openFrame(b []byte, seed uint32, seal cipher.AEAD, index uint64) (entry []byte, why string) {
	if len(b) < headSize {
		return nil, "the file ends inside it"
	}
	h, ok := parseHead(b, seed)
	if !ok || h.index != index {
		return nil, "its head does not fit its checksum"
	}
	if len(b)-headSize < int(h.size) {
		return nil, "the file ends inside it"
	}
	payload := b[headSize : headSize+int(h.size)]
	if checksum(0, payload) != h.sum {
		return nil, "it does not fit its checksum"
	}
	if !h.sealed {
		return payload, ""
	}
	if seal == nil {
		return nil, "it is encrypted and no key is given"
	}
	entry, err := seal.Open(payload[:0], nonce(index), payload, nil)
	if err != nil {
		return nil, "it was encrypted with another key or changed on purpose"
	}
	return entry, ""
}
