package web

import (
	"testing"

	"sightline/pipelines"
)

func TestMetricsOfDevices(t *testing.T) {
	p := newFake(t, onLoopback)
	p.devices = []pipelines.DeviceStatus{
		{Device: "cuda:0", Name: "one", State: pipelines.DeviceReady, Total: 100, Free: 60, Used: map[string]int64{"batches": 30, "cache": 1}, Streams: 4, Losses: 2},
		{Device: "cuda:1", Name: "two", State: pipelines.DeviceLost, Error: "it fell off the bus"},
	}
	got := gathered(t, newDeviceCollector(p))
	for name, want := range map[string]float64{
		"ready,device=cuda:0,name=one": 1, "ready,device=cuda:1,name=two": 0, "losses_total,device=cuda:0,name=one": 2,
		"streams,device=cuda:0,name=one": 4, "memory_bytes,device=cuda:0,name=one": 100, "memory_free_bytes,device=cuda:0,name=one": 60,
		"memory_used_bytes,device=cuda:0,name=one,owner=batches": 30,
	} {
		if v, ok := got["sightline_device_"+name]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, want)
		}
	}
}

func TestDevicesAreAnswered(t *testing.T) {
	p := newFake(t, "detect: { memory: 4GiB }\n"+onLoopback)
	p.devices = []pipelines.DeviceStatus{{Device: "cuda:0", State: pipelines.DeviceLost, Error: "it fell off the bus"}}
	code, found := getJSON(t, p, "/api/v1/devices")
	list, _ := found.([]any)
	if code != 200 || len(list) != 1 {
		t.Fatalf("%d: %v", code, found)
	}
	if d, _ := list[0].(map[string]any); d["device"] != "cuda:0" || d["error"] != p.devices[0].Error || d["state"] != "lost" || d["budget_bytes"] != float64(2<<30) {
		t.Errorf("found %v", d)
	}
}

func TestMetricsOfPicturesOnDevices(t *testing.T) {
	p := withStreams(newFake(t, onLoopback))
	got := gathered(t, newCollector(p))
	if _, ok := got["sightline_decode_surface_bytes,stream=gate"]; ok {
		t.Error("a stream that no GPU decodes has surfaces")
	}
	p.streams[0].Decoder.Surfaces, p.streams[0].Decoder.SurfaceBytes, p.streams[0].Decoder.Refused = 14, 9<<20, 3
	p.streams[0].Decoder.Retries = 2
	got = gathered(t, newCollector(p))
	if got["sightline_decode_surface_bytes,stream=gate"] != 9<<20 || got["sightline_decode_refused_total,stream=gate"] != 3 || got["sightline_decode_device_retries_total,stream=gate"] != 2 {
		t.Errorf("%v", got)
	}
}
