// Command ptxcc writes the C++ file of a PTX file's kernels: see package translate.
package main

import (
	"flag"
	"fmt"
	"os"

	"sightline/kernels/emu/translate"
)

func main() {
	out := flag.String("o", "", "write to this file")
	flag.Parse()
	if flag.NArg() != 1 || *out == "" {
		fmt.Fprintln(os.Stderr, "usage: ptxcc -o FILE.cc FILE.ptx")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *out); err != nil {
		fmt.Fprintln(os.Stderr, "ptxcc:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	code, err := translate.Translate(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, []byte(code), 0o644)
}
