package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"gocv.io/x/gocv"

	"sightline/detect/onnx"
	"sightline/internal/libav"
	"sightline/kernels"
	"sightline/pipelines/optimization"
)

// finding is one line of doctor's report.
type finding struct {
	Part  string `json:"part"`
	OK    bool   `json:"ok"`
	Found string `json:"found,omitempty"`
	Todo  string `json:"todo,omitempty"` // what to do where it is not there
	Need  bool   `json:"needed"`         // nothing runs without it
}

func newDoctor(sh *shell) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor [FILE.yaml …]",
		Short: "Say which libraries, engines and models are there, how spools are, and what to do about the rest",
		Long: "Doctor opens every library the program can use and runs the default model once. Given the files of a\n" +
			"pipeline it also looks at its spools: what waits there, what is damaged, whether there is room, whether the\n" +
			"key fits. It changes nothing, and may be asked while the pipeline runs. Exit code 1 means that something is\n" +
			"missing without which nothing runs.",
		Example: "  sightline doctor\n  sightline doctor pipeline.yaml\n  sightline doctor --json",
		RunE: func(_ *cobra.Command, args []string) error {
			var spools []finding
			if len(args) > 0 {
				p, err := loadFiles(sh, args, nil)
				if err != nil {
					return err
				}
				spools = append(examineSpools(p), examineOptimized(optimization.CachedFor(p))...)
				spools = append(spools, sh.examineGraphs(p.Detect)...)
			}
			found := append(examine(sh), spools...)
			if asJSON {
				if err := json.NewEncoder(sh.out).Encode(found); err != nil {
					return err
				}
			} else {
				printFindings(sh, found)
			}
			for _, f := range found {
				if f.Need && !f.OK {
					return &ExitError{Code: exitNothing}
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print [{part, ok, found, todo, needed}]")
	return c
}

func examine(sh *shell) []finding {
	found := []finding{
		{Part: "processor", OK: true, Found: fmt.Sprintf("%d cores, kernels for %s", runtime.NumCPU(), kernels.Level())},
		{Part: "FFmpeg", OK: true, Found: libav.Version(), Need: true},
		{Part: "OpenCV", OK: true, Found: gocv.OpenCVVersion(), Need: true},
	}
	engines := 0
	for _, e := range onnx.Engines(nil) {
		f := finding{Part: "engine " + e.Name, OK: e.Err == nil}
		if f.OK {
			engines++
			f.Found = e.Version + ", " + e.Path
		} else {
			f.Todo = e.Err.Error()
		}
		found = append(found, f)
	}
	found = append(found, finding{Part: "an engine", OK: engines > 0, Need: true, Found: count(engines, "engine"), Todo: todo(engines == 0, "run `make setup`")})
	found = append(found, sh.examineGPUs()...)
	found = append(found, examineModel(sh))
	media := filepath.Join(findDeps(), "media", "vtest.mp4")
	there := isFile(media)
	return append(found, finding{Part: "sample video", OK: there, Found: media, Todo: todo(!there, "run `make setup`; only the demo and bench need it")})
}

// examineModel runs the default model once with the engine that would be used.
func examineModel(sh *shell) finding {
	f := finding{Part: "model coco-nano", Need: true}
	path, err := onnx.Find("coco-nano", nil)
	if err == nil {
		c := onnx.Defaults()
		c.Model = path
		var s *onnx.Session
		if s, err = onnx.New(c, sh.log); err == nil {
			defer s.Close()
			err = s.Prepare(s.Ideal(16, 9))
			m := s.Info()
			f.Found = fmt.Sprintf("%s %s on %s %s, %s", m.Name, m.Digest, m.Engine, m.Precision, path)
		}
	}
	if f.OK = err == nil; err != nil {
		f.Todo = err.Error()
	}
	return f
}

func todo(missing bool, text string) string {
	if missing {
		return text
	}
	return ""
}

func printFindings(sh *shell, found []finding) {
	for _, f := range found {
		mark := "ok     "
		switch {
		case !f.OK && f.Need:
			mark = "MISSING"
		case !f.OK:
			mark = "-      "
		}
		fmt.Fprintln(sh.out, strings.TrimRight(fmt.Sprintf("%s %-20s %s", mark, f.Part, f.Found), " "))
		if f.Todo != "" {
			fmt.Fprintf(sh.out, "        → %s\n", f.Todo)
		}
	}
}
