package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sightline/detect/onnx"
	"sightline/detect/optimize"
)

// oneModel asks for the model, the only argument of optimize.
func oneModel(_ *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("optimize needs one MODEL, a file or a name that `sightline models` lists, and got %d: sightline optimize coco-nano -o OUT.onnx --video FILE", len(args))
}

// check finds what the flags say wrong, or do not say.
func (o *optimizeFlags) check() error {
	switch {
	case o.Out == "" && !o.DryRun:
		return errors.New("optimize needs -o FILE, or --dry-run")
	case (o.stream == "") != (len(o.configs) == 0):
		return errors.New("--config FILE.yaml and --stream NAME go together: the stream is one of that pipeline")
	case len(o.videos) == 0 && o.stream == "":
		return errors.New("optimize needs --video FILE, or --config FILE.yaml --stream NAME: pictures to prove on that nothing changed")
	case o.truth != "" && len(o.videos) == 0:
		return errors.New("--gt is of a video: give it with --video")
	case o.every < 1 || o.pictures < 1 || o.length <= 0:
		return errors.New("--every and --pictures want 1 or more, --for a time")
	case o.Classes != nil && len(o.Classes) == 0:
		return errors.New("--classes wants a name, or is left out for all classes")
	case o.truth != "" && o.Classes != nil && !slices.Contains(o.Classes, truthClass):
		return fmt.Errorf("--gt is of the class %s, which is not among --classes", truthClass)
	case len(o.sets) > 0 && len(o.configs) == 0:
		return errors.New("--set changes the pipeline of --config FILE.yaml, and there is none")
	case !(o.AP50 >= 0 && o.AP50 <= 100):
		return errors.New("--ap50 wants points within 0 and 100")
	case !(o.Least >= 0 && o.Least < 1):
		return fmt.Errorf("--score %v is not within 0 and 1%s", o.Least, part(o.Least))
	case !(o.Agreement >= 0 && o.Agreement <= 1):
		return fmt.Errorf("--agreement %v is not within 0 and 1%s", o.Agreement, part(o.Agreement))
	}
	for _, video := range o.videos {
		if strings.Contains(video, "://") && !strings.HasPrefix(video, "file://") {
			return fmt.Errorf("--video wants a file, and %s is an address: put it into a pipeline file and name the stream with --config FILE.yaml --stream NAME", redacted(video))
		}
	}
	return o.checkMode()
}

// redacted is an address up to where a password may be.
func redacted(address string) string {
	scheme, _, _ := strings.Cut(address, "://")
	return scheme + "://…"
}

// part says how a percentage is to be written.
func part(v float64) string {
	if v > 1 && v <= 100 {
		return fmt.Sprintf(": for %v %% write %v", v, v/100)
	}
	return ""
}

// checkMode finds what does not go with the mode or the target.
func (o *optimizeFlags) checkMode() error {
	switch {
	case !slices.Contains([]string{optimize.ExactMode, optimize.GeneralMode, optimize.SceneMode}, o.Mode):
		return fmt.Errorf("--mode %q is none of exact, general, scene", o.Mode)
	case o.Mode == optimize.SceneMode && o.stream == "":
		return errors.New("--mode scene makes a network for one stream alone: name it with --config FILE.yaml --stream NAME")
	case o.Mode != optimize.SceneMode && (o.Integers || o.Smaller):
		return errors.New("--int8 and --smaller belong to --mode scene; --mode general computes in 8-bit integers by itself")
	case o.Mode != optimize.ExactMode && o.pictures < fewPictures:
		return fmt.Errorf("--mode %s wants %d pictures or more: half of them are kept back for the comparison", o.Mode, fewPictures)
	case o.target == "tensorrt" || o.target == "cuda":
		return fmt.Errorf("--target %s: networks are proved on the engines of this machine's CPU alone, onnxruntime and openvino. What --mode exact makes "+
			"computes the same on a GPU too: leave --target out; 8-bit integers would be unproved there", o.target)
	case !slices.Contains([]string{"auto", "onnxruntime", "openvino"}, o.target):
		return fmt.Errorf("--target %q is none of onnxruntime, openvino, auto", o.target)
	}
	return nil
}

// places looks whether what is needed last is where it should be.
func (o *optimizeFlags) places() error {
	for _, p := range []place{{"the report", o.page}, {"the network", o.Out}} {
		if p.path == "" || p.what == "the network" && o.DryRun {
			continue
		}
		dir := filepath.Dir(p.path)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return fmt.Errorf("write %s: there is no folder %s: make it first", p.what, dir)
		}
		if info, err := os.Stat(p.path); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("write %s: %s is there and is no file: name one in it", p.what, p.path)
		}
	}
	if o.truth == "" {
		return nil
	}
	if info, err := os.Stat(o.truth); err != nil || info.IsDir() {
		return fmt.Errorf("read ground truth: there is no file %s", o.truth)
	}
	return nil
}

// place is a file and what it is, for errors.
type place struct{ what, path string }

// spares refuses to write over what is read, or the report over the network.
func (o *optimizeFlags) spares() error {
	taken := []place{{"the original", o.Model}, {"the original's description", onnx.SidecarName(o.Model)}, {"the ground truth", o.truth}}
	for _, video := range o.videos {
		taken = append(taken, place{"a video to take pictures from", strings.TrimPrefix(video, "file://")})
	}
	if o.bound != nil {
		taken = append(taken, place{"the stream's video", o.bound.Analyzed()[0].Path})
	}
	for _, config := range o.configs {
		taken = append(taken, place{"a pipeline's file", config})
	}
	written := []place{{"the network", o.Out}, {"the report", o.page}}
	if o.DryRun {
		written = written[1:]
	}
	for _, w := range written {
		for _, t := range taken {
			if oneFile(w.path, t.path) {
				return fmt.Errorf("write %s: %s is %s: name another file", w.what, w.path, t.what)
			}
		}
		taken = append(taken, w)
	}
	return nil
}

// oneFile tells whether two paths, "" for none, lead to one file, or would.
func oneFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	x, err := os.Stat(a)
	y, missing := os.Stat(b)
	return filepath.Clean(a) == filepath.Clean(b) || err == nil && missing == nil && os.SameFile(x, y)
}

// known finds out early that the model cannot be read, or does not know a class.
func (o *optimizeFlags) known() error {
	sp, err := onnx.ReadAny(o.Model)
	if err != nil {
		return err
	}
	if sp.Family == "" {
		return nil // only raw values are compared
	}
	return sp.Knows(o.Classes)
}
