package pipelines

import (
	"testing"

	"sightline/pipelines/spec"
)

// What a source refuses is told at the key that says it, once, without its secret.
func TestCheckPointsAtTheAddress(t *testing.T) {
	sp, err := spec.Parse("shop.yaml", []byte(`version: 1
name: shop
streams:
  door: { url: "rtmp://host/short" }
  gate:
    urls: { main: "rtsp://host/main", sub: "rtsp://host/sub" }
    fallback: ["srt://host:9000?passphrase=little1"]
  hall: { url: "rtsp://host/main", password: hushhush }
  yard:
    urls: { main: "rtsp://host/main", sub: "rtmp://host/short" }
  fine: { url: "srt://host:9000", password: long-enough }
`), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `shop.yaml:4:16: streams.door.url: wants rtmp://HOST/APP/STREAM
shop.yaml:7:16: streams.gate.fallback[0]: passphrase: has 7 bytes, SRT wants 10 to 79
shop.yaml:8:16: streams.hall.url: password: there is no username
shop.yaml:10:44: streams.yard.urls.sub: wants rtmp://HOST/APP/STREAM`
	if err := Check(sp); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	sp.Streams = sp.Streams[len(sp.Streams)-1:]
	if err := Check(sp); err != nil {
		t.Error(err)
	}
}
