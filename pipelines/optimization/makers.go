// Package optimization makes smaller networks of those that streams run on, in the
// background and out of the streams' own pictures, and keeps them on disk; and tells of one
// that was made before whose it is, and of what. It knows pictures, settings and files;
// what a stream does with its network is for others.
package optimization

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/pipelines/spec"
)

// Makers are the makers of one pipeline's networks, of which one at a time makes or loads
// one.
type Makers struct {
	spec     *spec.Pipeline
	compiler []string
	libDirs  []string
	log      *slog.Logger
	makers   map[string]*Maker // by their recipe's key
	press    chan struct{}
}

// NewMakers returns those of a pipeline, none yet. compiler is the command that makes a
// network: RunJob with the folder that is added to it; without it none is made. libDirs
// are where engine libraries are looked for first.
func NewMakers(sp *spec.Pipeline, compiler, libDirs []string, log *slog.Logger) *Makers {
	return &Makers{spec: sp, compiler: compiler, libDirs: libDirs, log: log, makers: map[string]*Maker{}, press: make(chan struct{}, 1)}
}

// For returns what makes the network of a stream, with what it has on disk. path is the
// original, which engine runs. Close is due after it.
func (all *Makers) For(st *spec.Stream, path string, original *onnx.Spec, engine string) (*Maker, error) {
	r := recipeFor(all.spec, st, original, engineVersion(engine, all.libDirs))
	key := r.key()
	if m := all.makers[key]; m != nil {
		return m, nil
	}
	cache, err := cacheFolder(st.Detect.Optimize)
	if err != nil {
		return nil, err
	}
	m := &Maker{
		spec: *st.Detect.Optimize, model: path, recipe: r, engine: engine, folder: filepath.Join(cache, key), compiler: all.compiler, libDirs: all.libDirs,
		log: all.log.With(slog.Any("streams", r.Streams)), press: all.press, pictures: make(chan *decode.Frame, 1),
	}
	if _, err := os.Stat(m.folder); err == nil {
		if err := m.hold(); err != nil {
			return nil, err
		}
	}
	m.status = Status{State: Collecting, Wanted: m.spec.Pictures, Folder: m.folder}
	switch have := kept(m.folder); {
	case have.Digest != "":
		m.status.State, m.status.Made = Ready, &have
	case have.Refused != "":
		m.status.State, m.status.Reason = Refused, have.Refused
		m.log.Warn("no optimized network: it did not keep its budget; to try again, delete the folder",
			slog.String("reason", have.Refused), slog.String("folder", m.folder))
	}
	all.makers[key] = m
	return m, nil
}

// Run makes what there is to be made, and returns after ctx has ended, which is after the
// streams' end.
func (all *Makers) Run(ctx context.Context) {
	var making sync.WaitGroup
	for _, m := range all.makers {
		making.Go(func() { m.run(ctx) })
	}
	making.Wait()
}

// Close lets others remove the networks' folders. Once is enough, more do no harm.
func (all *Makers) Close() {
	for _, m := range all.makers {
		m.letGo()
	}
}
