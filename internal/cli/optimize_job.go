package cli

import (
	"os"

	"github.com/spf13/cobra"

	"sightline/pipelines/optimization"
)

// jobCommand is what a pipeline runs, as a process of its own, to make a network in the
// background.
const jobCommand = "optimize-job"

func newOptimizeJob(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use:     jobCommand + " FOLDER",
		Short:   "Make the network that a running pipeline asks for",
		Example: "  sightline " + jobCommand + " jobs/9f2ab1",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return optimization.RunJob(cmd.Context(), args[0], sh.out, sh.log)
		},
	}
}

// compiler is this program as the maker of networks, nil where it cannot be found.
func compiler() []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{exe, jobCommand}
}
