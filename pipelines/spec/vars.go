package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Env looks up a variable, as os.LookupEnv does.
type Env func(name string) (string, bool)

const maxSecretFile = 64 << 10

// expand substitutes ${VAR}, ${VAR:-default} and ${file:PATH} in a scalar; $${
// stands for ${. What was substituted is not looked at again. Paths start from
// dir.
func expand(text, dir string, env Env) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return "", errors.New("`${` without `}` (write `$${` for a literal one)")
		}
		value, err := lookup(text[i+2:i+end], dir, env)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = text[i+end+1:]
	}
}

// lookup resolves what stands between ${ and }.
func lookup(ref, dir string, env Env) (string, error) {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		return readSecret(resolve(dir, path))
	}
	name, fallback, hasFallback := strings.Cut(ref, ":-")
	if !variableName().MatchString(name) {
		return "", errors.New("want ${VAR}, ${VAR:-default} or ${file:PATH} (write `$${` for a literal `${`)")
	}
	value, ok := env(name)
	if hasFallback && (!ok || value == "") {
		return fallback, nil
	}
	if !ok {
		return "", fmt.Errorf("variable %s is not set; set it, or write ${%s:-default}", name, name)
	}
	return value, nil
}

func variableName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) }

// readSecret reads a small regular file and drops the line end it closes with.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the file %s: %w", path, reasonOf(err))
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("cannot read the file %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the file %s: %w", path, reasonOf(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("cannot read the file %s: %w", path, reasonOf(err))
	}
	if len(data) > maxSecretFile {
		return "", fmt.Errorf("the file %s is larger than %d KiB", path, maxSecretFile>>10)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// reasonOf drops the operation and path that fs errors repeat.
func reasonOf(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// resolve makes a path from a file in dir one from the working folder.
func resolve(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
