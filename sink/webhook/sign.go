package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// prefix begins a secret that is base64, as the specification writes them.
const prefix = "whsec_"

// keys are the secrets of a text that holds one or more.
func keys(text string) ([][]byte, error) {
	var out [][]byte
	for _, word := range strings.Fields(text) {
		coded, ok := strings.CutPrefix(word, prefix)
		if !ok {
			out = append(out, []byte(word))
			continue
		}
		key, err := base64.StdEncoding.DecodeString(coded)
		if err != nil || len(key) == 0 {
			return nil, errors.New("what follows whsec_ is not base64")
		}
		out = append(out, key)
	}
	if out == nil {
		return nil, errors.New("is empty")
	}
	return out, nil
}

// signature is the value of SignatureHeader.
func signature(keys [][]byte, id string, at time.Time, body []byte) string {
	var out []string
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, " ")
}

// requestID is the id of the events of one request: an event's own, or a digest.
func requestID(ids []string) string {
	if len(ids) == 1 {
		return ids[0]
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	return "batch-" + hex.EncodeToString(sum[:16])
}
