package cli

import (
	"fmt"
	"strings"

	"sightline/pipelines/delivery"
	"sightline/pipelines/spec"
)

// examineSpools looks at where a pipeline's events wait.
func examineSpools(sp *spec.Pipeline) (found []finding) {
	for i := range sp.Sinks {
		s := &sp.Sinks[i]
		if s.Spool == nil {
			continue
		}
		r := delivery.Inspect(s.Spool.Path, s.Spool.KeyFile, s.DeadLetter.Path)
		found = append(found, spoolFinding(s, r))
		if r.Letters > 0 || r.LettersErr != nil {
			f := finding{Part: "dead letters " + s.Name, OK: r.LettersErr == nil, Found: fmt.Sprintf("%d events that could not be delivered, each with the reason", r.Letters)}
			if r.LettersErr != nil {
				f.Todo = "they cannot be read: " + r.LettersErr.Error()
			}
			found = append(found, f)
		}
	}
	return found
}

func spoolFinding(s *spec.Sink, r delivery.Report) finding {
	f := finding{Part: "spool " + s.Name}
	j := r.Journal
	parts := []string{s.Spool.Path}
	switch {
	case j.Files == 0 && r.Err == nil:
		parts = append(parts, "empty")
	case j.Files > 0:
		parts = append(parts, fmt.Sprintf("%s, %s of %s, %d entries, those of delivered events included", count(j.Files, "file"), sizeText(j.Bytes), sizeText(int64(s.Spool.Max)), j.Last+1-min(j.First, j.Last+1)))
	}
	if j.Encrypted {
		parts = append(parts, "encrypted")
	}
	f.Found = strings.Join(append(parts, sizeText(r.Free)+" free on the disk"), ", ")
	var todo []string
	for _, d := range j.Damage {
		if d.Tail {
			continue // a crash leaves that
		}
		todo = append(todo, fmt.Sprintf("%s is damaged at byte %d (%s), %d entries at least: what they held is lost and will be counted as dropped; the rest is delivered. Check the disk", d.File, d.Offset, d.Why, d.Entries))
	}
	switch {
	case r.Err != nil:
		f.Need = true
		todo = append(todo, r.Err.Error())
	case r.Free < int64(s.Spool.Max)-j.Bytes:
		todo = append(todo, "the disk has less room than the spool may take: lower max, or make room; when the disk is full, events wait in memory alone")
	}
	f.OK, f.Todo = len(todo) == 0, strings.Join(todo, "; ")
	return f
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[i]
}
