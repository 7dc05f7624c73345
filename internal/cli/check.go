package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sightline/pipelines"
	"sightline/pipelines/spec"
)

func newCheck(sh *shell) *cobra.Command {
	var sets []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check FILE.yaml [LAYER.yaml …]",
		Short: "Say every mistake of a pipeline at once, opening nothing",
		Long: "Check reads a pipeline as `run` would (later files are layered over earlier ones) and prints every\n" +
			"mistake as file:line:column: key.path: what is wrong. It opens no stream, model or sink.",
		Example: "  sightline check pipeline.yaml\n  sightline check base.yaml site.yaml -s streams.gate.url=rtsp://10.0.0.3/main\n  sightline check --json pipeline.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			p, err := loadFiles(sh, files, sets)
			if asJSON {
				return checkJSON(sh, err)
			}
			if err == nil {
				fmt.Fprintf(sh.out, "%s: ok: %s\n", strings.Join(files, " + "), contents(p))
				return nil
			}
			fmt.Fprintln(sh.out, err)
			return &ExitError{Code: exitNothing}
		},
	}
	overrideFlag(c, &sets)
	c.Flags().BoolVar(&asJSON, "json", false, "print {ok, diagnostics [{file, line, column, path, message, suggestion}]}")
	return c
}

// loadFiles reads a pipeline and finds what can be found wrong with it without opening
// anything.
func loadFiles(sh *shell, files, sets []string) (*spec.Pipeline, error) {
	p, err := spec.Load(files, sets, sh.env)
	if err != nil {
		return nil, err
	}
	return p, pipelines.Check(p)
}

// overrideFlag adds -s KEY=VALUE, which may be repeated.
func overrideFlag(c *cobra.Command, sets *[]string) {
	c.Flags().StringArrayVarP(sets, "set", "s", nil, "override a value: `KEY=VALUE`, such as rules.loitering.for=20s (repeatable)")
}

func checkJSON(sh *shell, err error) error {
	found := spec.Diagnostics{}
	errors.As(err, &found)
	encoder := json.NewEncoder(sh.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	failed := encoder.Encode(struct {
		OK          bool             `json:"ok"`
		Diagnostics spec.Diagnostics `json:"diagnostics"`
	}{err == nil, found})
	if failed != nil {
		return fmt.Errorf("write the report: %w", failed)
	}
	if err != nil {
		return &ExitError{Code: exitNothing}
	}
	return nil
}

func contents(p *spec.Pipeline) string {
	return fmt.Sprintf("%s, %s, %s", count(len(p.Streams), "stream"), count(len(p.Rules), "rule"), count(len(p.Sinks), "sink"))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
