// Package configs holds the pipeline files that ship with the program.
package configs

import _ "embed"

// Demo is the pipeline of `sightline demo`.
//
//go:embed demo.yaml
var Demo []byte
