package onvif

import (
	"strings"
	"unicode"
)

// maxText is how many characters are kept of what a camera says of itself.
const maxText = 200

// plain is a camera's text fit for one line of a terminal, a log or a file:
// what cannot be printed, and line breaks, become single spaces, and what is too
// long is cut.
func plain(text string) string {
	var b strings.Builder
	count, space := 0, false
	for _, r := range text {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) || r == ' ' {
			space = count > 0
			continue
		}
		if count >= maxText {
			return b.String() + "…"
		}
		if space {
			b.WriteByte(' ')
			count++
		}
		b.WriteRune(r)
		count, space = count+1, false
	}
	return b.String()
}
