package cli

import (
	"github.com/spf13/cobra"

	"sightline/pipelines/spec"
)

func newRender(sh *shell) *cobra.Command {
	var sets []string
	c := &cobra.Command{
		Use:   "render FILE.yaml [LAYER.yaml …]",
		Short: "Print the pipeline in force, secrets masked, with the origin of each value",
		Long: "Render prints what `run` would use as one YAML file: layers, overrides, variables and defaults applied.\n" +
			"A comment after each value says where it was written. Paths are relative to the working folder.",
		Example: "  sightline render pipeline.yaml\n  sightline render base.yaml site.yaml -s detect.confidence=0.5",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			p, err := spec.Load(files, sets, sh.env)
			if err != nil {
				return err
			}
			return p.Render(sh.out)
		},
	}
	overrideFlag(c, &sets)
	return c
}
