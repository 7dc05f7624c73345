package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Env looks up a variable, as os.LookupEnv does.
type Env func(name string) (string, bool)

const maxSecretFile = 64 << 10

// part is a piece of a scalar after substitution: text, or what a file had in it.
type part struct {
	text string
	file string // "" for text that no file gave
}

// expand substitutes ${VAR}, ${VAR:-default} and ${file:PATH} in a scalar; $${
// stands for ${. What was substituted is not looked at again. Paths start from
// dir.
func expand(text, dir string, env Env) ([]part, error) {
	var out []part
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			return append(out, part{text: text}), nil
		}
		if i > 0 && text[i-1] == '$' {
			out = append(out, part{text: text[:i-1] + "${"})
			text = text[i+2:]
			continue
		}
		out = append(out, part{text: text[:i]})
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return nil, errors.New("`${` without `}` (write `$${` for a literal one)")
		}
		value, err := lookup(text[i+2:i+end], dir, env)
		if err != nil {
			return nil, err
		}
		out = append(out, value)
		text = text[i+end+1:]
	}
}

// whole joins the parts.
func whole(parts []part) string {
	if len(parts) == 1 {
		return parts[0].text
	}
	var out strings.Builder
	for _, p := range parts {
		out.WriteString(p.text)
	}
	return out.String()
}

// reread reads the files among the parts anew. An empty file is an error: it is one
// being written. It changes nothing.
func reread(parts []part) (string, error) {
	now := slices.Clone(parts)
	for i := range now {
		if now[i].file == "" {
			continue
		}
		text, err := readSecret(now[i].file)
		if err == nil && text == "" {
			err = errors.New("the file is empty")
		}
		if err != nil {
			return "", err
		}
		now[i].text = text
	}
	return whole(now), nil
}

func fromFile(p part) bool { return p.file != "" }

// lookup resolves what stands between ${ and }.
func lookup(ref, dir string, env Env) (part, error) {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		path = resolve(dir, path)
		text, err := readSecret(path)
		return part{text, path}, err
	}
	name, fallback, hasFallback := strings.Cut(ref, ":-")
	if !variableName().MatchString(name) {
		return part{}, errors.New("want ${VAR}, ${VAR:-default} or ${file:PATH} (write `$${` for a literal `${`)")
	}
	value, ok := env(name)
	if hasFallback && (!ok || value == "") {
		return part{text: fallback}, nil
	}
	if !ok {
		return part{}, fmt.Errorf("variable %s is not set; set it, or write ${%s:-default}", name, name)
	}
	return part{text: value}, nil
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
