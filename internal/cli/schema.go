package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"sightline/configs"
)

func newSchema(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use:       "schema [pipeline|events]",
		Short:     "Print the JSON Schema of pipeline files or of events",
		Example:   "  sightline schema pipeline > schema.json\n  sightline schema events",
		ValidArgs: []string{"pipeline", "events"},
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		RunE: func(_ *cobra.Command, args []string) error {
			text := configs.PipelineSchema()
			if len(args) == 1 && args[0] == "events" {
				text = configs.EventSchema()
			}
			_, err := fmt.Fprint(sh.out, text)
			return err
		},
	}
}
