package images

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sightline/ingest"
)

// album is what a path turned out to name.
type album struct {
	paths  []string // in the order they are played
	digest string   // 12 hexadecimal digits
	start  time.Time
}

// find looks for the pictures and reads the ends of each.
func find(path string) (album, error) {
	paths, err := match(path)
	if err != nil {
		return album{}, err
	}
	slices.SortFunc(paths, compareNames)
	a := album{paths: paths}
	h := sha256.New()
	for _, p := range paths {
		modified, err := digest(h, p)
		if err == nil && a.start.IsZero() { // who cannot be read is passed over later
			a.start = modified.UTC()
		}
	}
	a.digest = hex.EncodeToString(h.Sum(nil))[:12]
	return a, nil
}

// match lists the pictures of a folder, or the files that fit a pattern.
func match(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return inFolder(path)
	case err == nil:
		return []string{path}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fail(ingest.ReasonFailed, "open pictures: %w", err)
	}
	matches, err := filepath.Glob(path)
	if err != nil {
		return nil, fail(ingest.ReasonFailed, "%s: no pattern: %w", path, err)
	}
	matches = slices.DeleteFunc(matches, func(p string) bool {
		info, err := os.Stat(p)
		return err == nil && info.IsDir()
	})
	if len(matches) == 0 {
		return nil, fail(ingest.ReasonNotFound, "%s: no such folder, and no file fits it", path)
	}
	return matches, nil
}

func inFolder(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fail(ingest.ReasonFailed, "read folder: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if !e.IsDir() && isPicture(e.Name()) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fail(ingest.ReasonNotFound, "%s: no .jpg, .png, .webp, .bmp or .tif in this folder", folder)
	}
	return paths, nil
}

func isPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// digest adds a file's name and size, its first and its last 4 KiB: pictures that
// differ differ there.
func digest(h io.Writer, path string) (modified time.Time, err error) {
	const part = 4 << 10
	fmt.Fprintf(h, "%q", filepath.Base(path))
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	binary.Write(h, binary.BigEndian, info.Size()) // a hash takes everything
	for _, at := range []int64{0, max(info.Size()-part, 0)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, part)); err != nil {
			return info.ModTime(), err
		}
	}
	return info.ModTime(), nil
}

// compareNames orders as people do: numbers inside names by their value, so that
// frame2 comes before frame10.
func compareNames(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		m, n := digits(x), digits(y)
		if m > 0 && n > 0 {
			i, j := strings.TrimLeft(x[:m], "0"), strings.TrimLeft(y[:n], "0")
			if c := cmp.Or(cmp.Compare(len(i), len(j)), cmp.Compare(i, j)); c != 0 {
				return c
			}
			x, y = x[m:], y[n:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits is how many s begins with.
func digits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// fail is a failure that trying again does not cure.
func fail(reason ingest.Reason, format string, args ...any) error {
	return &ingest.Error{Reason: reason, Permanent: true, Err: fmt.Errorf(format, args...)}
}
