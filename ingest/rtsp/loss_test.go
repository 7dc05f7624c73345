package rtsp_test

import (
	"context"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtsp"
)

func TestLossShowsAndTearsNothing(t *testing.T) {
	t.Parallel()
	made := ingesttest.H264(100, 10, 5*time.Millisecond)
	intact := map[string]bool{}
	for _, p := range made {
		intact[string(p.Data)] = true
	}
	server := serve(t, camera.Config{Streams: map[string]ingest.Source{"gate": &ingesttest.Scripted{
		Scripts: []ingesttest.Script{{Packets: made, Paced: true}},
	}}})
	direct := server.URL("gate")
	address := direct[len("rtsp://") : len(direct)-len("/gate")]
	relay := ingesttest.NewRelay(t, address, ingesttest.Loss{Lost: 1. / 23, Late: 1. / 50, Seed: 3})
	config := configFor("rtsp://" + relay.Addr() + "/gate")
	config.Transport = rtsp.UDP
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	const lossy, want = 300, 360 // pictures while the network loses, and in all
	seen, breaks, number := 0, 0, -1
	source := newSource(config)
	err := source.Run(ctx, func(p ingest.Packet) error {
		if !intact[string(p.Data)] {
			t.Errorf("packet %d is no access unit that the camera sent", seen)
		}
		n := numberOf(p)
		// A keyframe that lost only its parameter sets is whole again by the known ones.
		missing := number >= 0 && n != (number+1)%len(made)
		if missing && !p.Break || p.Break && !missing && !p.Keyframe {
			t.Errorf("picture %d after %d: break %v", n, number, p.Break)
		}
		number = n
		if p.Break {
			breaks++
		}
		switch seen++; seen {
		case lossy:
			relay.Heal()
		case want:
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Fatalf("%v after %d packets", err, seen)
	}
	if breaks < 10 {
		t.Errorf("%d breaks in %d pictures at a loss of 1 in 23", breaks, lossy)
	}
	_, lost, late := relay.Counts()
	if got := source.Losses(); got != (ingest.Losses{Lost: uint64(lost)}) || late == 0 {
		t.Errorf("%+v, where the network lost %d packets and was late with %d", got, lost, late)
	}
	if err := source.Run(ctx, func(ingest.Packet) error { return errEnough }); err != errEnough {
		t.Fatal(err)
	}
	if got := source.Losses(); got.Lost != uint64(lost) {
		t.Errorf("after another connection: %+v, want %d lost", got, lost)
	}
}
