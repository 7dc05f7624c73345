package optimize

import (
	"log/slog"
	"math"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph/graphtest"
)

func TestIntegersWantNewerOperators(t *testing.T) {
	m := graphtest.New(2).Model()
	m.Opsets[0].Version = 12
	_, _, err := integers(t.Context(), Config{Engines: []string{"onnxruntime"}}, m, onnx.Input{}, onnx.Shape{}, nil)
	if err == nil || !strings.Contains(err.Error(), "want 13 or later") {
		t.Errorf("got %v", err)
	}
}

// Agreement about nothing proves nothing.
func TestNothingSeenIsNoProof(t *testing.T) {
	for _, mode := range []string{ExactMode, GeneralMode} {
		e := EngineReport{Precision: "f32", Agreement: agreement(nil, nil, .4)}
		if fault := e.fault(mode, .5); !strings.Contains(fault, "finds nothing") {
			t.Errorf("%s: %q", mode, fault)
		}
	}
}

// What would compare nothing is refused before anything is made.
func TestNoProofIsRefused(t *testing.T) {
	frames := []*decode.Frame{graphtest.Noise(64, 48)}
	defer Release(frames)
	engines := []string{"onnxruntime"}
	for name, c := range map[string]struct {
		config Config
		frames []*decode.Frame
		says   string
	}{
		"no engine":         {Config{Mode: ExactMode}, frames, "no engine"},
		"no picture":        {Config{Mode: ExactMode, Engines: engines}, nil, "0 pictures"},
		"none held back":    {Config{Mode: GeneralMode, Engines: engines}, frames, "1 pictures"},
		"agreement without": {Config{Mode: ExactMode, Engines: engines, Agreement: math.NaN()}, frames, "NaN is not within"},
	} {
		if r, err := Run(t.Context(), c.config, c.frames, slog.New(slog.DiscardHandler)); r != nil || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was made at a price is not made again: it would say no more where it may be used.
func TestMadeIsNotMadeAgain(t *testing.T) {
	frames := []*decode.Frame{graphtest.Noise(64, 48)}
	defer Release(frames)
	for mode, says := range map[string]string{
		GeneralMode: "made of another network in mode general: optimize that one, whose SHA-256 begins with 0123456789ab", SceneMode: "made of another network in mode scene", ExactMode: "made of another",
	} {
		m := graphtest.NanoDet()
		m.SetMeta(onnx.MadeKey, `{"source":"0123456789abcdef","mode":"`+mode+`"}`)
		c := Config{Mode: ExactMode, Engines: []string{"none"}, DryRun: true, Model: modelFile(t, m)}
		if _, err := Run(t.Context(), c, frames, slog.New(slog.DiscardHandler)); err == nil || (mode != ExactMode) != strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
