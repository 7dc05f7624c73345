package httpauth

import (
	"crypto/md5"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// rfc7616 is the challenge of RFC 7616, 3.9.1.
const rfc7616 = `realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`

// TestVectors computes the examples of RFC 7616, 3.9.1 and RFC 2617, 3.5.
func TestVectors(t *testing.T) {
	for _, c := range []struct{ header, cnonce, password, want string }{
		{"Digest algorithm=MD5, " + rfc7616, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "Circle of Life", "8ca523f5e9506fed4657c9700eebdbec"},
		{"Digest algorithm=SHA-256, " + rfc7616, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "Circle of Life",
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{`Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
			"0a4f113b", "Circle Of Life", "6629fae49393a05397450978507c4ef1"},
		{`Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`, "", "Circle Of Life", "670fd8c2df070c60b045671b8b24ff02"},
	} {
		found := choose([]string{c.header})
		if found == nil {
			t.Fatalf("%s: no challenge in it", c.header)
		}
		got := found.digest("GET", "/dir/index.html", "Mufasa", c.password, c.cnonce, 1)
		if !strings.Contains(got, `response="`+c.want+`"`) {
			t.Errorf("%s: %s, want %s", c.header, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers []string
		want    string // scheme, algorithm, realm
	}{
		{"basic", []string{`Basic realm="a camera, \"gate\""`}, `basic  a camera, "gate"`},
		{"digest before basic", []string{`Basic realm="b"`, `Digest realm="d", nonce="n"`}, "digest  d"},
		{"both in one header", []string{`Basic realm="b", Digest realm="d", nonce="n", algorithm=SHA-256`}, "digest SHA-256 d"},
		{"the server's order", []string{`Digest realm="s", nonce="n", algorithm=SHA-256`, `Digest realm="m", nonce="n", algorithm=MD5`}, "digest SHA-256 s"},
		{"an unknown algorithm", []string{`Digest realm="s", nonce="n", algorithm=SHA3`, `Digest realm="m", nonce="n", algorithm=md5-sess`}, "digest md5-sess m"},
		{"only auth-int", []string{`Digest realm="s", nonce="n", qop="auth-int"`, "Basic realm=b"}, "basic  b"},
		{"no quotes, no commas", []string{`DIGEST Realm=d nonce=abc== qop = auth`}, "digest  d"},
		{"others", []string{"Negotiate abc==", "Bearer"}, "none"},
		{"nothing", nil, "none"},
		{"rubbish", []string{`=,"=,,Digest`, `"`}, "none"},
	} {
		got := "none"
		if found := choose(c.headers); found != nil {
			got = fmt.Sprintf("%s %s %s", found.scheme, found.params["algorithm"], found.params["realm"])
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// guard is a server that asks for a digest, and for another nonce every few
// requests.
type guard struct {
	t              *testing.T
	asked, entered int
}

func (g *guard) nonce() string { return fmt.Sprintf("nonce-%d", g.entered/3) }

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	list := parse(r.Header.Get("Authorization"))
	if len(list) == 1 && list[0].params["nonce"] == g.nonce() {
		p := list[0].params
		sum := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
		want := sum(sum("viewer:cam:se:cret") + ":" + p["nonce"] + ":" + p["nc"] + ":" + p["cnonce"] + ":auth:" + sum(r.Method+":"+r.URL.RequestURI()))
		if p["response"] == want && p["opaque"] == "o" && p["uri"] == r.URL.RequestURI() && string(body) == "question" {
			g.entered++
			return
		}
	}
	g.asked++
	w.Header().Set("WWW-Authenticate", `Digest realm="cam", qop="auth", opaque="o", nonce="`+g.nonce()+`"`)
	w.WriteHeader(http.StatusUnauthorized)
}

func TestTransport(t *testing.T) {
	g := &guard{t: t}
	server := httptest.NewServer(g)
	defer server.Close()
	origin, _ := url.Parse(server.URL)
	status := func(password string) int {
		transport := &Transport{Base: http.DefaultTransport, Username: "viewer", Password: password, Origin: origin}
		client := http.Client{Transport: transport}
		code := 0
		for range 7 {
			r, err := client.Post(server.URL+"/a/b?c=d&e", "text/plain", strings.NewReader("question"))
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			code = r.StatusCode
		}
		return code
	}
	if code := status("se:cret"); code != http.StatusOK || g.entered != 7 || g.asked != 3 {
		t.Errorf("status %d, entered %d times, asked %d times; want 200, 7, 3", code, g.entered, g.asked)
	}
	g.asked, g.entered = 0, 0
	if code := status("wrong"); code != http.StatusUnauthorized || g.asked != 8 {
		t.Errorf("a wrong password: status %d, asked %d times in 7 requests", code, g.asked)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestPasswordStays sends requests to others than the origin.
func TestPasswordStays(t *testing.T) {
	var got []string
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.Header().Set("WWW-Authenticate", `Basic realm="give it to me"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer thief.Close()
	camera := httptest.NewServer(http.RedirectHandler(thief.URL+"/token=abc", http.StatusFound))
	defer camera.Close()
	origin, _ := url.Parse(camera.URL)
	client := http.Client{Transport: &Transport{Base: http.DefaultTransport, Username: "viewer", Password: "secret", Origin: origin}}
	if r, err := client.Get(camera.URL); err != nil || r.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v, %v", r, err)
	} else {
		r.Body.Close()
	}
	if len(got) != 1 || got[0] != "" {
		t.Errorf("the other host was told %q", got)
	}
	client.CheckRedirect = CheckRedirect(origin)
	_, err := client.Get(camera.URL)
	if e, ok := err.(*url.Error); !ok || !strings.Contains(e.Err.Error(), "not given the password") || strings.Contains(e.Err.Error(), "abc") {
		t.Errorf("a redirect to another host: %v", err)
	}
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }))
	defer loop.Close()
	client.CheckRedirect = CheckRedirect(nil)
	if _, err := client.Get(loop.URL); err == nil || !strings.Contains(err.Error(), "too often") {
		t.Errorf("redirects in a circle: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// FuzzDigestChallenge parses and answers whatever a server asks: the answer is one
// header line that parses as one challenge with our name in it.
func FuzzDigestChallenge(f *testing.F) {
	f.Add("Digest algorithm=MD5, " + rfc7616)
	f.Add(`Basic realm="b", Digest realm="d\"", nonce="n", algorithm=SHA-256-sess, userhash=true, opaque=`)
	f.Add(`Digest realm=d nonce=abc== qop = auth,`)
	f.Add("Negotiate abc==, Bearer , =,\"")
	f.Fuzz(func(t *testing.T, header string) {
		c := choose([]string{header})
		if c == nil {
			return
		}
		answer, err := c.answer("GET", `/a"b`, `us"er`, "password")
		if err != nil || strings.Contains(answer, "password") {
			t.Fatalf("%q, %v", answer, err)
		}
		if c.scheme == "basic" {
			return
		}
		list := parse(answer)
		if len(list) != 1 || list[0].scheme != "digest" {
			t.Fatalf("%q parses as %d challenges", answer, len(list))
		}
		p := list[0].params
		if p["uri"] != `/a"b` || p["nonce"] != c.params["nonce"] || p["realm"] != c.params["realm"] || p["response"] == "" {
			t.Errorf("%q came of %q", answer, header)
		}
	})
}
