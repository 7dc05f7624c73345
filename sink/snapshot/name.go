package snapshot

import (
	"strings"
	"time"
)

// Name is where the picture of an event is kept, relative to the folder:
// DATE/STREAM/EVENT-ID.jpg, by the event's time in UTC. It depends on the event
// alone, so a replayed file writes the same names.
func Name(at time.Time, stream, id string) string {
	return at.UTC().Format(time.DateOnly) + "/" + stream + "/" + id + ".jpg"
}

// isName tells whether a name may be one of Name's: nothing else is opened.
func isName(name string) bool {
	date, rest, _ := strings.Cut(name, "/")
	stream, file, _ := strings.Cut(rest, "/")
	id, ok := strings.CutSuffix(file, ".jpg")
	return ok && len(date) == len(time.DateOnly) && only(date, digits+"-") &&
		len(stream) <= 63 && only(stream, digits+letters+"_-") && len(id) <= 64 && only(id, digits+letters+"-")
}

const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyz"

// only tells whether text is some of these characters and nothing else.
func only(text, chars string) bool { return text != "" && strings.Trim(text, chars) == "" }

// waitingFolder holds an empty file for each picture that the bucket lacks, named
// like the picture with ~, which no part of a name has, for the slashes.
const waitingFolder = ".waiting"

func marker(name string) string { return waitingFolder + "/" + strings.ReplaceAll(name, "/", "~") }

func ofMarker(file string) string { return strings.ReplaceAll(file, "~", "/") }
