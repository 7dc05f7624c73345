// Package configs holds the pipeline files that ship and the JSON Schemas of
// pipelines and events. The schemas are generated from the Go types by the tests
// of pipelines/spec (`go test ./pipelines/spec -update`).
package configs

import (
	_ "embed"
)

// PipelineSchema is the JSON Schema of a pipeline file.
func PipelineSchema() string { return pipelineSchema }

// EventSchema is the JSON Schema of an event, a CloudEvent with its data.
func EventSchema() string { return eventSchema }

var (
	//go:embed schema.json
	pipelineSchema string
	//go:embed events.schema.json
	eventSchema string
)
