package spec

import (
	"fmt"
	"testing"
)

// A network for one scene is bound to what the camera of a stream shows, and to nothing
// else.
func TestBind(t *testing.T) {
	bind := func(name, url, more string) string {
		t.Helper()
		text := fmt.Sprintf("version: 1\nname: p\nweb: { listen: 127.0.0.1:0 }\nstreams: { %s: { url: '%s'%s } }\n", name, url, more)
		p, err := Parse("p.yaml", []byte(text), nil, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		return p.Streams[0].Bind()
	}
	const camera = "rtsp://viewer:secret@10.0.0.3/main?channel=1"
	for _, c := range []struct {
		what      string
		one, next string
		same      bool
	}{
		{"another login", bind("gate", camera, ""), bind("gate", "rtsp://10.0.0.3/main?channel=1", ", username: admin, password: other"), true},
		{"another name and title", bind("gate", camera, ""), bind("door", camera, ", title: Door"), true},
		{"another channel", bind("gate", camera, ""), bind("gate", "rtsp://10.0.0.3/main?channel=2", ""), false},
		{"another camera", bind("gate", camera, ""), bind("gate", "rtsp://10.0.0.4/main?channel=1", ""), false},
		{"the same file by another path", bind("gate", "file:a.mp4", ""), bind("gate", "file:x/../a.mp4", ""), true},
		{"another file", bind("gate", "file:a.mp4", ""), bind("gate", "file:b.mp4", ""), false},
		{"another publisher", bind("gate", "whip://", ""), bind("door", "whip://", ""), false},
		{"the same publisher", bind("gate", "whip://", ""), bind("gate", "whip://", ", title: Gate"), true},
	} {
		if (c.one == c.next) != c.same {
			t.Errorf("%s: bound to the same: %v", c.what, c.one == c.next)
		}
	}
}
