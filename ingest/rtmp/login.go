package rtmp

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// Servers of Adobe's line ask for a password in the text of a refusal, and are
// answered by calling connect anew with a query behind the application's name.

var errLogin = errors.New("the server asks for a user and a password, or refuses those it got")

// login is the query for the next try after a refusal; errLogin when there is
// nothing left to try, and the refusal itself when it is about something else.
func login(r *refusal, t target, before string) (query string, err error) {
	text := r.info.text("description")
	if !strings.Contains(text, "authmod=adobe") {
		return "", r
	}
	if t.username == "" {
		return "", errLogin
	}
	user := "?authmod=adobe&user=" + url.QueryEscape(t.username)
	if before == "" {
		return user, nil
	}
	_, question, ok := strings.Cut(text, "?")
	asked := parameters(question)
	if !ok || asked["reason"] != "needauth" || before != user {
		return "", errLogin
	}
	return user + answer(t, asked, rand.Text()), nil
}

// parameters are read as they stand: salts are Base64 and their + is no space.
func parameters(query string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSpace(query), "&") {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	return all
}

// answer proves that we know the password: MD5 over user, salt and password, and
// over that, what the server calls opaque (or its challenge) and a challenge of ours.
func answer(t target, asked map[string]string, challenge string) string {
	digest := func(parts ...string) string {
		sum := md5.Sum([]byte(strings.Join(parts, "")))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	key := digest(t.username, asked["salt"], t.password)
	opaque, suffix := asked["challenge"], ""
	if o := asked["opaque"]; o != "" {
		opaque, suffix = o, "&opaque="+o
	}
	return "&challenge=" + challenge + "&response=" + digest(key, opaque, challenge) + suffix
}
