package onnx

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// engine names.
const (
	openVINO    = "openvino"
	onnxRuntime = "onnxruntime"
)

// libraryName is the file that an engine is opened from.
func libraryName(engine string) string {
	if engine == openVINO {
		return "libopenvino_c.so"
	}
	return "libonnxruntime.so"
}

// upward lists what folder .deps/NAME could be: beside the executable, then in
// the working directory and above it.
func upward(name string) []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			dirs = append(dirs, filepath.Join(filepath.Dir(exe), ".deps", name))
		}
	}
	dir, err := os.Getwd()
	for err == nil {
		dirs = append(dirs, filepath.Join(dir, ".deps", name))
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return dirs
}

// findLibrary returns the path to open an engine's library by: in dirs, in
// SIGHTLINE_LIBS (a list like PATH), in .deps, else the bare name for the
// system's own search.
func findLibrary(engine string, dirs []string) string {
	name := libraryName(engine)
	all := append([]string{}, dirs...)
	all = append(all, filepath.SplitList(os.Getenv("SIGHTLINE_LIBS"))...)
	all = append(all, upward(filepath.Join(engine, "lib"))...)
	for _, dir := range all {
		for _, candidate := range []string{dir, filepath.Join(dir, engine, "lib")} {
			if path := libraryIn(candidate, name); path != "" {
				return path
			}
		}
	}
	return name
}

// missing explains that an engine's library could not be opened.
func missing(engine, path string, dirs []string, cause error) error {
	if filepath.IsAbs(path) {
		return fmt.Errorf("engine %s: %w", engine, cause)
	}
	looked := append(append([]string{}, dirs...), "SIGHTLINE_LIBS", ".deps/"+engine+"/lib", "the system's library folders")
	return fmt.Errorf("engine %s: no %s in %s (`make setup` fetches it): %w", engine, path, strings.Join(looked, ", "), cause)
}

// libraryIn returns the absolute path of a library in a folder, "" without one.
// Packages may lack the name without a version.
func libraryIn(dir, name string) string {
	entries, _ := os.ReadDir(dir) // in order of names; a folder that is not there holds nothing
	for _, e := range entries {
		if path, err := filepath.Abs(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(e.Name(), name) {
			return path
		}
	}
	return ""
}
