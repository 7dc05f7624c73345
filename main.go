// Sightline turns camera, browser and file streams into labeled events.
package main

import (
	"os"

	"sightline/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv))
}
