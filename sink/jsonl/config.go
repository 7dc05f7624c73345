// Package jsonl writes events to a file or to standard output, one CloudEvent as
// JSON a line.
package jsonl

import (
	"errors"
	"io"
	"os"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// Config says where events go.
type Config struct {
	Path   string    // of the file, appended to; its folders are made; "-" is Stdout
	Stdout io.Writer // where "-" leads; never closed
}

// Defaults returns a configuration that lacks only the path.
func Defaults() Config { return Config{Stdout: os.Stdout} }

// Validate reports every mistake, each beginning with the key it is about. It opens
// nothing.
func (c Config) Validate() error {
	switch {
	case c.Path == "":
		return errors.New("path: missing")
	case c.Path == Stdout && c.Stdout == nil:
		return errors.New("path: there is no standard output")
	}
	return nil
}
