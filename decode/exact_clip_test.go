package decode_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"sightline/internal/testkit"
)

// Pictures that carry their own index: a row of black and white blocks spells it
// in binary, and a second row below spells its complement. The rest is noise, so
// that a picture takes several packets.
const (
	markBits   = 16
	markBlock  = 16
	markWidth  = markBits * markBlock
	markHeight = 8 * markBlock
	markRate   = 50 // pictures a second
)

// marked makes a clip of n pictures, each with its index from 0.
func marked(t testing.TB, n int, x264 string) string {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "marked.yuv")
	random := rand.NewChaCha8([32]byte{1})
	picture := make([]byte, markWidth*markHeight*3/2)
	f, err := os.Create(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range n {
		random.Read(picture[2*markBlock*markWidth:])
		for y := range 2 * markBlock {
			for x := range markWidth {
				white := i>>(x/markBlock)&1 == 1
				if y >= markBlock {
					white = !white
				}
				picture[y*markWidth+x] = map[bool]byte{true: 235, false: 16}[white]
			}
		}
		if _, err := f.Write(picture); err != nil {
			t.Fatal(err)
		}
	}
	return testkit.Clip(t, "marked.mp4", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", fmt.Sprintf("%dx%d", markWidth, markHeight),
		"-r", fmt.Sprint(markRate), "-i", raw, "-c:v", "libx264", "-crf", "36", "-x264-params", x264+":keyint=25:min-keyint=25:scenecut=0")
}

// readMark reads the index from a picture's luma; false where the two rows
// contradict each other.
func readMark(luma []byte) (index int, ok bool) {
	for bit := range markBits {
		at := markBlock/2*markWidth + bit*markBlock + markBlock/2
		white, opposite := luma[at] > 126, luma[at+markBlock*markWidth] > 126
		if white == opposite {
			return 0, false
		}
		if white {
			index |= 1 << bit
		}
	}
	return index, true
}
