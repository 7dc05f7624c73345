package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sightline/configs"
	"sightline/sink/format"
)

func newSchema(sh *shell) *cobra.Command {
	kind, of := "json", ""
	cmd := &cobra.Command{
		Use:       "schema [pipeline|events]",
		Short:     "Print the schema of pipeline files or of events",
		Example:   "  sightline schema pipeline > schema.json\n  sightline schema events\n  sightline schema events --format avro --type line.crossed\n  sightline schema events --format protobuf > events.proto",
		ValidArgs: []string{"pipeline", "events"},
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "events" {
				return printEventSchema(sh.out, kind, of)
			}
			if kind != "json" || of != "" {
				return usageError("--format and --type are for events: sightline schema events --format %s", kind)
			}
			_, err := fmt.Fprint(sh.out, configs.PipelineSchema())
			return err
		},
	}
	cmd.Flags().StringVar(&kind, "format", kind, "of events: json, avro (one schema for each type, as a JSON array) or protobuf")
	cmd.Flags().StringVar(&of, "type", of, "with avro: of this type of event alone")
	return cmd
}

func printEventSchema(out io.Writer, kind, of string) error {
	if of != "" && kind != format.Avro {
		return usageError("--type is for --format avro: the other schemas describe every type at once")
	}
	text := ""
	switch kind {
	case "json":
		text = configs.EventSchema()
	case format.Protobuf:
		text = format.ProtobufSchema()
	case format.Avro:
		var schemas []string
		for _, t := range format.EventTypes() {
			if of == "" || of == string(t) || of == "sightline."+string(t) {
				schemas = append(schemas, strings.TrimSpace(string(format.AvroSchema(t))))
			}
		}
		switch {
		case schemas == nil:
			return usageError("there is no event type %q", of)
		case of == "":
			text = "[\n" + strings.Join(schemas, ",\n") + "\n]\n"
		default:
			text = schemas[0] + "\n"
		}
	default:
		return usageError("%q is none of json, avro, protobuf", kind)
	}
	_, err := fmt.Fprint(out, text)
	return err
}

// usageError is a mistake in how the command was called.
func usageError(format string, args ...any) error {
	return &ExitError{exitUsage, fmt.Errorf(format, args...)}
}
