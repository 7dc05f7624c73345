package spec

import (
	"encoding"
	"testing"
)

func TestValues(t *testing.T) {
	for _, c := range []struct {
		into encoding.TextUnmarshaler
		text string
		want string // as it is written again; "" is an error
	}{
		{new(Size), "64MiB", "64MiB"},
		{new(Size), "65536KiB", "64MiB"},
		{new(Size), "1.5GiB", "1536MiB"},
		{new(Size), "1000kB", "1MB"},
		{new(Size), "77B", "77B"},
		{new(Size), "64", ""},
		{new(Size), "0B", ""},
		{new(Size), "-1MiB", ""},
		{new(Size), "9999999999TiB", ""},
		{new(Size), "NaNB", ""},
		{new(Size), "MiB", ""},
		{new(FPS), "all", "all"},
		{new(FPS), "0.5", "0.5"},
		{new(FPS), "30", "30"},
		{new(FPS), "-1", ""},
		{new(FPS), "NaN", ""},
		{new(FPS), "Inf", ""},
		{new(FPS), "1001", ""},
		{new(Input), "aspect", "aspect"},
		{new(Input), "model", "model"},
		{new(Input), "416x256", "416x256"},
		{new(Input), "416", ""},
		{new(Input), "416x", ""},
		{new(Input), "416x256x3", ""},
		{new(Input), "9000x416", ""},
	} {
		err := c.into.UnmarshalText([]byte(c.text))
		if (err != nil) != (c.want == "") {
			t.Errorf("%T from %q: %v", c.into, c.text, err)
			continue
		}
		if c.want == "" {
			continue
		}
		got, err := c.into.(encoding.TextMarshaler).MarshalText()
		if err != nil || string(got) != c.want {
			t.Errorf("%T from %q is written %q, %v; want %q", c.into, c.text, got, err, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"confidence", "classes", "fps", "url", "password", "pace"}
	for word, want := range map[string]string{
		"confidance": "confidence", "clases": "classes", "fsp": "fps", "ulr": "url", "passwrod": "password",
		"pase": "pace", "conf": "confidence", "fps": "", "x": "", "nothing-like-it": "", "": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSourceOf(t *testing.T) {
	for text, want := range map[string]struct {
		kind SourceKind
		path string
		ok   bool
	}{
		"rtsp://h/1":              {RTSP, "", true},
		"rtsps://h/1":             {RTSP, "", true},
		"whip://":                 {WHIP, "", true},
		"whip://h":                {WHIP, "", false},
		"file:a/b.mp4":            {File, "a/b.mp4", true},
		"file:///a/b.mp4":         {File, "/a/b.mp4", true},
		"file://host/b.mp4":       {File, "", false},
		"/a/b.mp4":                {File, "/a/b.mp4", true},
		"a:b.mp4":                 {File, "a:b.mp4", true},
		"dir/odd://name.mp4":      {File, "dir/odd://name.mp4", true},
		"http://h/a":              {HTTP, "", true},
		"https://h/a?b=.m3u8":     {HTTP, "", true},
		"https://h/live.M3U8?t=1": {HLS, "", true},
		"hls+http://h/playlist":   {HLS, "", true},
		"whep://h/a":              {WHEP, "", true},
		"wheps://h/a":             {WHEP, "", true},
		"rtmps://h/a/b":           {RTMP, "", true},
		"srt://h:9":               {SRT, "", true},
		"v4l2:/dev/video0":        {V4L2, "/dev/video0", true},
		"v4l2:///dev/video0":      {V4L2, "/dev/video0", true},
		"images:shots/*.jpg":      {Images, "shots/*.jpg", true},
		"images://host/shots":     {Images, "", false},
		"pattern:":                {Pattern, "", true},
		"pattern:1280x720":        {Pattern, "1280x720", true},
		"pattern:1280x720@12.5":   {Pattern, "1280x720@12.5", true},
		"pattern:@10":             {Pattern, "@10", true},
		"pattern:8x8":             {Pattern, "8x8", false},
		"pattern:x720":            {Pattern, "x720", false},
		"pattern:1280x720@0":      {Pattern, "1280x720@0", false},
		"pattern:1280x720@NaN":    {Pattern, "1280x720@NaN", false},
		"image:shots":             {"", "", false},
		"ftp://h/a":               {"", "", false},
		"rtsp:h":                  {"", "", false},
		"RTSP://h/a":              {RTSP, "", true},
	} {
		kind, path, err := sourceOf(text)
		if kind != want.kind || path != want.path || (err == nil) != want.ok {
			t.Errorf("sourceOf(%q) = %q, %q, %v", text, kind, path, err)
		}
	}
}
