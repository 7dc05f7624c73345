package onnx

import (
	"log/slog"

	"sightline/decode"
	"sightline/kernels"
)

// backend is where a session computes: an engine on the CPU, or a GPU. Its
// methods may be called from several goroutines. Close comes after Close of all
// it made.
type backend interface {
	engine() string    // that runs, such as openvino
	version() string   // of its library
	refusals() []error // why faster engines were passed over, in the order they were tried
	workers() int      // Batches that run at a time
	batches() int      // that are made with an input size, before any frame comes
	// cached tells whether prepare finds the network compiled; not ok: nothing is kept.
	cached(shape Shape) (cached, ok bool)
	// prepare compiles the network, whose file is model, for pictures of shape. It blocks.
	prepare(model []byte, shape Shape) (plan, error)
	Close()
}

// plan is the network compiled for one input size.
type plan interface {
	precision() string // that it really computes in
	slots() (slots, error)
	Close()
}

// slots are the memory of one Batch: its rows on their way from frames to boxes.
// The methods have the concurrency of Batch's. They are used again and again; after
// the first pictures they allocate nothing that lasts.
type slots interface {
	// warm runs whatever the slots can run, so that errors and first-time work come
	// before any frame.
	warm() error
	// write converts a frame into a row.
	write(row int, w *Writer, f *decode.Frame) (kernels.Letterbox, error)
	// run computes the first rows, all of which were written.
	run(rows []row) error
	// boxes are what run found in a row for its writer, in pixels of the input,
	// overlapping ones suppressed, best first. They are valid until the next run.
	boxes(row int, w *Writer) ([]kernels.Box, error)
	// settle waits until no frame is read any more, and releases those that are held.
	settle()
	Close()
}

func openBackend(cfg Config, spec *Spec, log *slog.Logger) (backend, error) {
	if cfg.GPU != nil {
		return openGPU(cfg, spec, log)
	}
	return openHost(cfg, spec)
}
