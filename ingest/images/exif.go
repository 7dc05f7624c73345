package images

import (
	"bytes"
	"encoding/binary"
)

// orientationTag is where Exif says how a camera was held (Exif 2.32, 4.6.4).
const orientationTag = 0x0112

// rotation is how many degrees a JPEG must be turned clockwise until it is
// upright: telephones store pictures as the sensor lies and say so. Mirrored
// pictures, which none of them makes, are turned and stay mirrored.
func rotation(jpeg []byte) int {
	for b := jpeg[min(2, len(jpeg)):]; len(b) >= 4 && b[0] == 0xff && b[1] != 0xda; {
		size := int(binary.BigEndian.Uint16(b[2:])) + 2
		if size < 4 || size > len(b) {
			return 0
		}
		if exif, ok := bytes.CutPrefix(b[4:size], []byte("Exif\x00\x00")); ok && b[1] == 0xe1 {
			return degrees(exif)
		}
		b = b[size:]
	}
	return 0
}

// degrees reads the first directory of Exif's TIFF.
func degrees(tiff []byte) int {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	if string(tiff[:2]) == "MM" {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		const entry = 12
		if len(entries) < entry {
			return 0
		}
		if order.Uint16(entries) == orientationTag {
			switch order.Uint16(entries[8:]) {
			case 3, 4:
				return 180
			case 5, 6:
				return 90
			case 7, 8:
				return 270
			}
			return 0
		}
		entries = entries[entry:]
	}
	return 0
}
