package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sightline/pipelines"
	"sightline/pipelines/spec"
	"sightline/web"
)

func newRun(sh *shell) *cobra.Command {
	var sets []string
	c := &cobra.Command{
		Use:   "run FILE.yaml [LAYER.yaml …] | VIDEO-or-URL …",
		Short: "Run a pipeline until its streams end or a signal comes",
		Long: "Run reads the streams of a pipeline, detects, tracks and applies rules, and sends events to its sinks.\n" +
			"It ends when all its files have ended, or on SIGINT or SIGTERM: then it drains, at most drain_timeout.\n" +
			"Given videos or URLs instead of YAML it runs them with the default pipeline: events on standard output,\n" +
			"the page on 127.0.0.1:8080.",
		Example: "  sightline run pipeline.yaml\n  sightline run pipeline.yaml -s streams.gate.url=rtsp://10.0.0.3/main\n" +
			"  sightline run clip.mp4\n  sightline run rtsp://viewer:secret@10.0.0.3/main",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadOrDefault(sh, args, sets)
			if err == nil {
				err = sh.useGPU(p.Detect)
			}
			if err != nil {
				return err
			}
			return runPipeline(cmd.Context(), sh, p)
		},
	}
	overrideFlag(c, &sets)
	return c
}

// loadOrDefault reads YAML files, or makes the default pipeline for videos.
func loadOrDefault(sh *shell, args, sets []string) (*spec.Pipeline, error) {
	isYAML := func(arg string) bool { return slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(arg)) }
	switch {
	case !slices.ContainsFunc(args, func(a string) bool { return !isYAML(a) }):
		return loadFiles(sh, args, sets)
	case slices.ContainsFunc(args, isYAML):
		return nil, &ExitError{exitUsage, errors.New("give either pipeline files or videos and URLs, not both")}
	}
	return spec.Parse("default.yaml", defaultPipeline(args), sets, sh.env)
}

// defaultPipeline is the pipeline of `run VIDEO…` as YAML. Dollar signs in a URL
// are escaped: it holds no variables.
func defaultPipeline(videos []string) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nname: default\nstreams:\n")
	names := map[string]bool{}
	for _, v := range videos {
		name := streamName(v, names)
		quoted := yamlQuoted(v)
		fmt.Fprintf(&b, "  %s: { url: '%s' }\n", name, quoted)
	}
	b.WriteString("sinks: [{ kind: jsonl, path: \"-\" }]\nweb: { listen: \"127.0.0.1:8080\" }\n")
	return []byte(b.String())
}

// streamName makes a name of a path's or URL's last part, unlike those taken.
func streamName(video string, taken map[string]bool) string {
	base := filepath.Base(video)
	if strings.Contains(video, "://") { // of a URL neither password nor query get into names
		base = "stream"
		if u, err := url.Parse(video); err == nil {
			if base = path.Base(u.Path); base == "." || base == "/" {
				base = strings.ReplaceAll(u.Hostname(), ".", "-")
			}
		}
	}
	base = strings.TrimSuffix(base, filepath.Ext(base))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(base))
	name = strings.Trim(name, "-")
	if name = name[:min(len(name), 48)]; name == "" {
		name = "stream"
	}
	unique := name
	for n := 2; taken[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	taken[unique] = true
	return unique
}

// options are what every command gives a pipeline.
func (sh *shell) options() pipelines.Options {
	return pipelines.Options{Logger: sh.log, Stdout: sh.out, Compiler: compiler()}
}

// runPipeline runs p, and the page if it has one, until it is done.
func runPipeline(ctx context.Context, sh *shell, sp *spec.Pipeline) error {
	p, err := pipelines.New(sp, sh.options())
	if err != nil {
		return err
	}
	return serve(ctx, sh, p, func(ctx context.Context) error { return verdict(p, p.Run(ctx)) })
}

// serve calls run with the page being served beside it.
func serve(ctx context.Context, sh *shell, p *pipelines.Pipeline, run func(context.Context) error) error {
	if p.Spec().Web == nil {
		return run(ctx)
	}
	server, err := web.Listen(p, sh.log)
	if err != nil {
		return errors.Join(err, p.Close())
	}
	sh.log.Info("page is up", slog.String("url", server.URL()))
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, _ := errgroup.WithContext(serving)
	group.Go(func() error { return server.Run(serving) })
	err = run(ctx)
	stop()
	return errors.Join(err, group.Wait())
}

// verdict turns a run's outcome into an exit code.
func verdict(p *pipelines.Pipeline, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pipelines.ErrStreamFailed) && p.Summary().Inferred == 0:
		return &ExitError{exitNothing, err}
	}
	return &ExitError{exitPartial, err}
}
