package cli

import (
	"os"
	"path/filepath"
)

// findDeps returns the folder that `make setup` fills: .deps beside the program,
// or in the working folder or one above it; "" when there is none.
func findDeps() string {
	var from []string
	if exe, err := os.Executable(); err == nil {
		from = append(from, filepath.Dir(exe))
	}
	if dir, err := os.Getwd(); err == nil {
		for ; ; dir = filepath.Dir(dir) {
			from = append(from, dir)
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	for _, dir := range from {
		if path := filepath.Join(dir, ".deps"); isDir(path) {
			return path
		}
	}
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
