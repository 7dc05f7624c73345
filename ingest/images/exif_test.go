package images

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// held is the beginning of a JPEG that says how the camera was held.
func held(order binary.AppendByteOrder, orientation uint16) []byte {
	tiff := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, e := range [][2]uint16{{0x0100, 640}, {orientationTag, orientation}} {
		tiff = order.AppendUint16(order.AppendUint16(tiff, e[0]), 3)
		tiff = order.AppendUint16(order.AppendUint16(order.AppendUint32(tiff, 1), e[1]), 0)
	}
	app1 := append([]byte("Exif\x00\x00"), tiff...)
	jpeg := []byte("\xff\xd8\xff\xe0\x00\x04JF\xff\xe1")
	return append(binary.BigEndian.AppendUint16(jpeg, uint16(len(app1)+2)), app1...)
}

func TestRotation(t *testing.T) {
	for orientation, want := range map[uint16]int{0: 0, 1: 0, 2: 0, 3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270, 9: 0} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			if got := rotation(held(order, orientation)); got != want {
				t.Errorf("orientation %d, %v: %d degrees, want %d", orientation, order, got, want)
			}
		}
	}
	whole := held(binary.LittleEndian, 6)
	for n := range len(whole) {
		if got := rotation(whole[:n]); got != 0 {
			t.Errorf("%d degrees by %d of %d bytes", got, n, len(whole))
		}
	}
}

// TestTurned plays a picture of a camera that was held upright.
func TestTurned(t *testing.T) {
	jpg := still(t, "a.jpg", "64x48")
	turned := append(held(binary.BigEndian, 6), jpg[2:]...)
	packets, err := run(t, Config{Path: folder(t, map[string][]byte{"1.jpg": jpg, "2.jpg": turned}), Every: 1, Pace: Fastest}, quiet())
	if err != nil || len(packets) != 2 || packets[0].Rotation != 0 || packets[1].Rotation != 90 || !bytes.Equal(packets[1].Data, turned) {
		t.Errorf("%d packets, %v", len(packets), err)
	}
}

// FuzzRotation reads whatever a file says of how it was held.
func FuzzRotation(f *testing.F) {
	f.Add(held(binary.LittleEndian, 6))
	f.Add(held(binary.BigEndian, 8))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := rotation(data); got%90 != 0 || got < 0 || got > 270 {
			t.Errorf("%d degrees", got)
		}
	})
}
