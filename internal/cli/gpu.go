package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"sightline/kernels/cuda"
	"sightline/kernels/driver"
	"sightline/pipelines/spec"
)

// siblingSuffix names the binary with the GPU path, which lies beside this one: what it
// is linked to keeps a process from starting where there is no NVIDIA driver, so it
// cannot be the one that everybody starts.
const siblingSuffix = "-cuda"

var errNoSibling = errors.New("make build-cuda makes it")

// machine is what a command asks of the machine about GPUs; tests stand in for it.
type machine struct {
	built   func() bool // this binary has the GPU path itself
	probe   func() (driver.Report, error)
	sibling func() (string, error)
	exec    func(path string, args, env []string) error // does not return where it works
}

func realMachine() machine {
	return machine{
		built: func() bool { _, err := cuda.Devices(); return !errors.Is(err, cuda.ErrNotBuilt) },
		probe: driver.Probe, sibling: sibling, exec: syscall.Exec,
	}
}

// sibling is the path of the binary with the GPU path.
func sibling() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	return beside(self)
}

// beside is the binary with the GPU path beside the program self.
func beside(self string) (string, error) {
	path := strings.TrimSuffix(self, siblingSuffix) + siblingSuffix
	switch info, err := os.Stat(path); {
	case path == self: // it would start itself for ever
		return "", fmt.Errorf("%s is built without the GPU path: %w", path, errNoSibling)
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s is not there: %w", path, errNoSibling)
	case err != nil:
		return "", fmt.Errorf("the binary with the GPU path: %w", err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return "", fmt.Errorf("%s is not executable: %w", path, errNoSibling)
	}
	return path, nil
}

// useGPU sees that a command which is to infer on a GPU runs in the binary that can: it
// becomes that one, with the same arguments, and does not return. Where it returns nil
// the command goes on in this one: a GPU is not wanted, or none is there and none was
// demanded, which the log says. The driver is asked before, as the other binary ends at
// once where no device is.
func (sh *shell) useGPU(d spec.Detect) error {
	demanded := strings.HasPrefix(d.Device, "cuda:") || d.Engine == "tensorrt"
	if sh.machine.built() || d.Device == "cpu" || !demanded && (d.Engine == "openvino" || d.Engine == "onnxruntime") {
		return nil
	}
	found, err := sh.machine.probe()
	if err == nil && demanded {
		err = has(found, d.Device)
	}
	var path string
	if err == nil {
		path, err = sh.machine.sibling()
	}
	switch {
	case err == nil:
		sh.log.Debug("going on in the binary with the GPU path", slog.String("path", path))
		err = sh.machine.exec(path, append([]string{path}, sh.args...), os.Environ())
		return fmt.Errorf("start %s: %w", path, err)
	case demanded:
		return fmt.Errorf("detect: engine %s on device %s: %w; with both at auto it takes what is there, a GPU or the CPU", d.Engine, d.Device, err)
	case errors.Is(err, driver.ErrNone), errors.Is(err, driver.ErrNoDevice):
		sh.log.Debug("no GPU, going on with the CPU", slog.Any("reason", err))
	default:
		sh.log.Warn("a GPU is there and cannot be used, going on with the CPU", slog.Any("reason", err))
	}
	return nil
}

// has says what is wrong with a device's number, where auto is any.
func has(found driver.Report, device string) error {
	number, ok := strings.CutPrefix(device, "cuda:")
	if !ok {
		return nil
	}
	if n, err := strconv.Atoi(number); err != nil || n >= len(found.Devices) {
		return fmt.Errorf("this machine has %s, counted from cuda:0", count(len(found.Devices), "device"))
	}
	return nil
}
