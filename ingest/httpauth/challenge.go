package httpauth

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync/atomic"
)

// challenge is one way in that a server offers.
type challenge struct {
	scheme string            // lower case
	params map[string]string // names in lower case
	count  atomic.Uint32     // answers given to this nonce
}

// choose takes the first Digest challenge that can be answered, else Basic, nil
// when there is neither.
func choose(headers []string) *challenge {
	var basic *challenge
	for _, h := range headers {
		for _, c := range parse(h) {
			switch {
			case c.scheme == "digest" && c.hash() != nil && c.params["nonce"] != "" && c.usable():
				return c
			case c.scheme == "basic" && basic == nil:
				basic = c
			}
		}
	}
	return basic
}

// usable is false for servers that insist on auth-int, which none is known to do.
func (c *challenge) usable() bool { return c.params["qop"] == "" || c.auth() }

// auth tells whether the server offers quality of protection "auth".
func (c *challenge) auth() bool {
	return slices.ContainsFunc(strings.Split(c.params["qop"], ","), func(q string) bool {
		return strings.EqualFold(strings.TrimSpace(q), "auth")
	})
}

// hash is the challenge's hash function, nil for an unknown one.
func (c *challenge) hash() func() hash.Hash {
	switch strings.TrimSuffix(strings.ToUpper(c.params["algorithm"]), "-SESS") {
	case "", "MD5":
		return md5.New
	case "SHA-256":
		return sha256.New
	case "SHA-512-256":
		return sha512.New512_256
	}
	return nil
}

// answer is the Authorization header for one request.
func (c *challenge) answer(method, uri, user, password string) (string, error) {
	if strings.ContainsAny(user, "\r\n") {
		return "", errors.New("the username holds a line break")
	}
	if c.scheme == "basic" {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), nil
	}
	return c.digest(method, uri, user, password, rand.Text(), c.count.Add(1)), nil
}

// digest computes RFC 7616, 3.4.
func (c *challenge) digest(method, uri, user, password, cnonce string, count uint32) string {
	newHash := c.hash()
	sum := func(parts ...string) string {
		h := newHash()
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	nonce, realm := c.params["nonce"], c.params["realm"]
	secret := sum(user, realm, password)
	if strings.HasSuffix(strings.ToUpper(c.params["algorithm"]), "-SESS") {
		secret = sum(secret, nonce, cnonce)
	}
	name := user
	userhash := strings.EqualFold(c.params["userhash"], "true")
	if userhash {
		name = sum(user, realm)
	}
	request := sum(method, uri)
	answer := fmt.Sprintf("Digest username=%s, realm=%s, nonce=%s, uri=%s", quote(name), quote(realm), quote(nonce), quote(uri))
	if c.params["qop"] == "" {
		answer += fmt.Sprintf(`, response="%s"`, sum(secret, nonce, request))
	} else {
		nc := fmt.Sprintf("%08x", count)
		answer += fmt.Sprintf(`, response="%s", qop=auth, nc=%s, cnonce="%s"`, sum(secret, nonce, nc, cnonce, "auth", request), nc, cnonce)
	}
	if a := c.params["algorithm"]; a != "" {
		answer += ", algorithm=" + a // a known one, but for its case
	}
	if o, ok := c.params["opaque"]; ok {
		answer += ", opaque=" + quote(o)
	}
	if userhash {
		answer += ", userhash=true"
	}
	return answer
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// parse reads one WWW-Authenticate header (RFC 9110, 11.6.1), which may hold
// several challenges. It takes what cameras send: values without quotes, and
// parameters without commas between them.
func parse(header string) (list []*challenge) {
	for rest := header; ; {
		rest = strings.TrimLeft(rest, " \t,")
		end := strings.IndexAny(rest, " \t,=")
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		rest = strings.TrimLeft(rest[end:], " \t")
		switch {
		case word == "" && rest == "":
			return list
		case !strings.HasPrefix(rest, "="):
			list = append(list, &challenge{scheme: strings.ToLower(word), params: map[string]string{}})
			continue
		}
		var value string
		value, rest = cutValue(strings.TrimLeft(rest[1:], " \t"))
		if len(list) == 0 || word == "" {
			continue
		}
		params := list[len(list)-1].params
		if _, twice := params[strings.ToLower(word)]; !twice {
			params[strings.ToLower(word)] = value
		}
	}
}

// cutValue takes a quoted string or a token off the front.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
			fallthrough
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
