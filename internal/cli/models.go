package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sightline/detect/onnx"
)

// modelReport is one model as `models --json` prints it.
type modelReport struct {
	Name   string   `json:"name"`
	Path   string   `json:"path"`
	Family string   `json:"family,omitempty"`
	Input  string   `json:"input,omitempty"`
	Labels []string `json:"labels,omitempty"`
	Digest string   `json:"digest,omitempty"`
	Error  string   `json:"error,omitempty"`
}

func report(m onnx.ModelFile) modelReport {
	r := modelReport{Name: m.Name, Path: m.Path}
	if m.Err != nil {
		r.Error = m.Err.Error()
		return r
	}
	r.Family, r.Labels, r.Digest = string(m.Spec.Family), m.Spec.Labels, m.Spec.Digest
	r.Input = m.Spec.Input.Base.String()
	return r
}

func newModels(sh *shell) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "models",
		Short:   "List the models at hand",
		Example: "  sightline models\n  sightline models info coco-nano --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			files, err := onnx.Models(nil)
			if err != nil {
				return err
			}
			reports := make([]modelReport, len(files))
			for i, f := range files {
				reports[i] = report(f)
			}
			if asJSON {
				return json.NewEncoder(sh.out).Encode(reports)
			}
			w := tabwriter.NewWriter(sh.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tFAMILY\tINPUT\tCLASSES\tPATH")
			for _, r := range reports {
				if r.Error != "" {
					fmt.Fprintf(w, "%s\tunusable: %s\t\t\t%s\n", r.Name, r.Error, r.Path)
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", r.Name, r.Family, r.Input, len(r.Labels), r.Path)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	c.AddCommand(newModelInfo(sh))
	return c
}

func newModelInfo(sh *shell) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "info NAME-or-PATH",
		Short:   "Say what a model file is",
		Example: "  sightline models info coco-nano\n  sightline models info ./yolov8n.onnx --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := onnx.Find(args[0], nil)
			if err != nil {
				return err
			}
			sp, err := onnx.ReadSpec(path)
			if err != nil {
				return err
			}
			r := report(onnx.ModelFile{Name: args[0], Path: path, Spec: sp})
			if asJSON {
				return json.NewEncoder(sh.out).Encode(r)
			}
			fmt.Fprintf(sh.out, "name    %s\npath    %s\nfamily  %s\ninput   %s\ndigest  %s\nclasses %d: %s\n",
				r.Name, r.Path, r.Family, r.Input, r.Digest, len(r.Labels), strings.Join(r.Labels, ", "))
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}
