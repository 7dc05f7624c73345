package web

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"sightline/detect"
	"sightline/internal/testkit"
	"sightline/pipelines"
	"sightline/pipelines/optimization"
)

// networkStates is one stream for each state of a smaller network, and what the page says:
// of the badge, and beside it, where HH:MM is any time.
func networkStates(at time.Time) (streams []pipelines.StreamStatus, want map[string][]string) {
	const lost = "the optimized network finds 44.0 % of what its original finds, and of what it finds itself 75.0 % is confirmed; the least is 97.0 %"
	made := &optimization.Made{Recall: .985, Precision: .99, Speedup: 2.42}
	want = map[string][]string{}
	add := func(name string, o *pipelines.OptimizeStatus, says ...string) {
		st := pipelines.StreamStatus{Name: name, Kind: "rtsp", State: "online", Codec: "h264", Width: 640, Height: 360, Optimized: o,
			Model: detect.Model{Name: "coco-nano", Engine: "openvino", Precision: "bf16"}}
		streams, want[name] = append(streams, st), says
	}
	of := func(mode, working string, m optimization.Status) *pipelines.OptimizeStatus {
		m.Wanted = 160
		return &pipelines.OptimizeStatus{Mode: mode, Working: working, Budget: .97, Every: 50, Recall: 1, Precision: 1, Making: &m}
	}
	add("gate", nil)
	add("lobby", of("general", "original", optimization.Status{State: "collecting", Pictures: 40, Left: 450}),
		"optimizing", "general network · collecting pictures · 25% · 8 min left")
	add("guarded", of("scene", "original", optimization.Status{State: "compiling", Step: "measuring what channels are needed for", Done: 12, Of: 29, Left: 42, Failures: 1}),
		"optimizing", "scene network · measuring what channels are needed for · 41% · 42 s left in this step · could not be made once")
	add("waiting", of("scene", "original", optimization.Status{State: "waiting"}), "optimizing", "scene network · waits for its turn")
	add("retrying", of("general", "original", optimization.Status{State: "retrying", Failures: 2, Retry: &at, Reason: "make a network: signal: killed"}),
		"not optimized", "general network · could not be made 2 times · again at HH:MM · make a network: signal: killed")
	add("refused", of("general", "original", optimization.Status{State: "refused", Reason: "recall is 0.9431, less than 0.9700"}),
		"not optimized", "general network · refused · recall is 0.9431, less than 0.9700")
	add("failed", of("general", "original", optimization.Status{State: "failed", Failures: 5, Reason: "no space left on device"}),
		"not optimized", "general network · could not be made 5 times · no space left on device")

	used := of("scene", "optimized", optimization.Status{State: "ready", Made: made})
	used.Speedup, used.Window, used.Recall, used.Precision, used.Since = 2.42, 120, .984, .99, &at
	add("in-use", used, "optimized", "scene network · 2.4× as fast · agrees 98% over 120 looks")
	fell := of("scene", "original", optimization.Status{State: "ready", Made: made})
	fell.Falls, fell.Since, fell.Reason, fell.Speedup = 1, &at, lost, 2.42
	add("fell", fell, "fell back", "the original since HH:MM · "+lost)
	waits := of("exact", "original", optimization.Status{State: "ready", Made: made})
	waits.Waits, waits.Speedup = "next_start", 1.18
	add("waits", waits, "ready", "exact network · 1.2× as fast · taken at the next start")
	add("by-hand", &pipelines.OptimizeStatus{Mode: "scene", Working: "optimized", Falls: 1, Since: &at, Budget: .97}, "optimized", "scene network · again since HH:MM")
	return streams, want
}

// gpuStates is a GPU that works, one that is lost and one that is back, and what is said.
func gpuStates(at time.Time) (devices []pipelines.DeviceStatus, want []string) {
	return []pipelines.DeviceStatus{
			{Device: "cuda:0", Name: "Example 24", Driver: "12.4", State: "ready", Since: at, Total: 24 << 30, Free: 20 << 30, Streams: 8, Used: map[string]int64{"network coco-nano 416x256": 300 << 20, "batches": 30 << 20}},
			{Device: "cuda:1", Name: "Example 8", State: "lost", Error: "it fell off the bus", Since: at, Losses: 1, Total: 8 << 30, Streams: 1},
			{Device: "cuda:2", Name: "Example 8", State: "ready", Since: at, Losses: 2, Total: 8 << 30, Free: 3 << 30, Used: map[string]int64{"batches": 1 << 29}, Streams: 4},
		}, []string{
			"Example 24: 330 MiB of 2 GiB, 8 streams",
			"Example 8: lost at HH:MM, 1 stream without it",
			"Example 8: 512 MiB of 2 GiB, 4 streams, back since HH:MM, lost 2 times",
		}
}

func TestChromiumSaysHowNetworksAndGPUsAre(t *testing.T) {
	browser := chromium(t)
	at := time.Now()
	p := newFake(t, "detect: { memory: 4GiB }\n"+onLoopback)
	streams, want := networkStates(at)
	devices, wantDevices := gpuStates(at)
	p.streams, p.devices, p.sinks = streams, devices, []pipelines.SinkStatus{{Name: "events", Kind: "kafka", State: "ok"}}
	s := serve(t, p)
	var got struct {
		Networks  map[string][]string
		Devices   []string
		SticksOut map[string]int
		Anew      int
		Errors    []string
	}
	args := []string{browser, filepath.Join(testkit.Root(t), ".deps"), s.URL(), fmt.Sprint(len(streams))}
	if shots := os.Getenv("SIGHTLINE_SHOTS"); shots != "" { // a folder, for people to look at
		args = append(args, shots)
	}
	if err := json.Unmarshal(node(t, browserTime, "states.mjs", args...), &got); err != nil {
		t.Fatal(err)
	}
	clock := regexp.MustCompile(`\b\d\d:\d\d\b`)
	for name, says := range want {
		var have []string
		for _, text := range got.Networks[name] {
			have = append(have, clock.ReplaceAllString(text, "HH:MM"))
		}
		if fmt.Sprint(have) != fmt.Sprint(says) {
			t.Errorf("%s: %q, want %q", name, have, says)
		}
	}
	for i, text := range got.Devices {
		got.Devices[i] = clock.ReplaceAllString(text, "HH:MM")
	}
	if fmt.Sprintf("%q", got.Devices) != fmt.Sprintf("%q", wantDevices) {
		t.Errorf("GPUs: %q", got.Devices)
	}
	for where, pixels := range got.SticksOut {
		if pixels > 0 {
			t.Errorf("%s: %d pixels stick out", where, pixels)
		}
	}
	if len(got.SticksOut) != 4 || got.Anew > 0 || len(got.Errors) > 0 {
		t.Errorf("looked at %v; %d badges were drawn anew; the page fails: %q", got.SticksOut, got.Anew, got.Errors)
	}
}
