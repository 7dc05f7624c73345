package optimize

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"unsafe"

	"sightline/decode"
)

// Album is a file of pictures to learn from, which grows one by one and outlives the
// process that makes it: a picture that was not written whole is dropped when the file
// is opened again. One goroutine uses it.
type Album struct {
	file  *os.File
	count int
	bytes int64
}

// A picture in an album is a header of so many bytes, its visible samples plane by
// plane, and the CRC-32C of both, little-endian:
//
//	magic, width, height (4 bytes each), format, matrix, full range, chroma left (1 each)
const (
	pictureMagic  = 0x31434950 // PIC1
	pictureHeader = 16
	maxSide       = 1 << 14
)

// OpenAlbum opens or makes the album at path.
func OpenAlbum(path string) (*Album, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open pictures: %w", err)
	}
	a := &Album{file: f}
	r := bufio.NewReaderSize(f, 1<<20)
	for err == nil {
		var pic *decode.Frame
		if pic, err = readPicture(r); err == nil {
			a.count++
			a.bytes += pictureBytes(pic)
			pic.Release()
		}
	}
	if err = f.Truncate(a.bytes); err == nil {
		_, err = f.Seek(a.bytes, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open pictures: %w", err), f.Close())
	}
	return a, nil
}

// Len is how many pictures there are, Bytes what they take.
func (a *Album) Len() int { return a.count }

// Bytes is the size of the file.
func (a *Album) Bytes() int64 { return a.bytes }

// Add writes a picture in host memory, which stays the caller's. It blocks for a disk's
// time, and refuses more than ReadAlbum would read.
func (a *Album) Add(f *decode.Frame) error {
	if f.Memory != decode.Host || f.Format != decode.I420 && f.Format != decode.NV12 {
		return fmt.Errorf("keep a picture: it is of kind %d in memory of kind %d", f.Format, f.Memory)
	}
	if a.bytes+pictureBytes(f) > maxHeld {
		return fmt.Errorf("keep a picture: with %d of them there would be more than %d GiB: take fewer", a.count+1, maxHeld>>30)
	}
	buf := make([]byte, pictureHeader, pictureBytes(f))
	le := binary.LittleEndian
	le.PutUint32(buf, pictureMagic)
	le.PutUint32(buf[4:], uint32(f.Width))
	le.PutUint32(buf[8:], uint32(f.Height))
	buf[12], buf[13], buf[14], buf[15] = byte(f.Format), byte(f.Color.Matrix), flag(f.Color.FullRange), flag(f.Color.ChromaLeft)
	for i := range f.Planes {
		planeRows(f, i, func(row []byte) { buf = append(buf, row...) })
	}
	buf = le.AppendUint32(buf, crc32.Checksum(buf, crc32.MakeTable(crc32.Castagnoli)))
	if _, err := a.file.Write(buf); err != nil {
		return fmt.Errorf("keep a picture: %w", err)
	}
	a.count++
	a.bytes += int64(len(buf))
	return nil
}

// Close closes the file.
func (a *Album) Close() error { return a.file.Close() }

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// pictureBytes is what a picture takes in an album.
func pictureBytes(f *decode.Frame) int64 {
	chroma := int64((f.Width+1)/2) * int64((f.Height+1)/2) * 2
	return pictureHeader + int64(f.Width)*int64(f.Height) + chroma + 4
}

// ReadAlbum reads every whole picture of the file at path; all are the caller's to
// Release. Those of another size than most are left out, as networks are compared on
// one size.
func ReadAlbum(path string) ([]*decode.Frame, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read pictures: %w", err)
	}
	defer f.Close()
	var all []*decode.Frame
	r, held := bufio.NewReaderSize(f, 1<<20), int64(0)
	for held < maxHeld {
		pic, err := readPicture(r)
		if err != nil {
			break // the end, or what was cut off there
		}
		held += pictureBytes(pic)
		all = append(all, pic)
	}
	if all = OneSize(all); len(all) == 0 {
		return nil, fmt.Errorf("read pictures of %s: there are none", path)
	}
	return all, nil
}

// OneSize keeps the pictures of the most frequent size and releases the others.
func OneSize(all []*decode.Frame) (out []*decode.Frame) {
	counts, best := map[[2]int]int{}, [2]int{}
	for _, f := range all {
		size := [2]int{f.Width, f.Height}
		counts[size]++
		if counts[size] > counts[best] {
			best = size
		}
	}
	for _, f := range all {
		if [2]int{f.Width, f.Height} == best {
			out = append(out, f)
		} else {
			f.Release()
		}
	}
	return out
}

var errPicture = errors.New("no whole picture")

func readPicture(r io.Reader) (*decode.Frame, error) {
	head := make([]byte, pictureHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	width, height := le.Uint32(head[4:]), le.Uint32(head[8:])
	format := decode.PixelFormat(head[12])
	if le.Uint32(head) != pictureMagic || width < 1 || height < 1 || width > maxSide || height > maxSide || format != decode.I420 && format != decode.NV12 {
		return nil, errPicture
	}
	f := decode.Frame{
		Width: int(width), Height: int(height), Format: format, Memory: decode.Host,
		Color: decode.Color{Matrix: decode.Matrix(head[13]), FullRange: head[14] == 1, ChromaLeft: head[15] == 1},
	}
	data, err := io.ReadAll(io.LimitReader(r, pictureBytes(&f)-pictureHeader))
	if err != nil || int64(len(data)) != pictureBytes(&f)-pictureHeader {
		return nil, errors.Join(errPicture, err)
	}
	samples := data[:len(data)-4]
	sum := crc32.Update(crc32.Checksum(head, crc32.MakeTable(crc32.Castagnoli)), crc32.MakeTable(crc32.Castagnoli), samples)
	if sum != le.Uint32(data[len(samples):]) {
		return nil, errPicture
	}
	luma, half := f.Width*f.Height, (f.Width+1)/2
	f.Planes[0] = decode.Plane{Data: unsafe.Pointer(&samples[0]), Stride: f.Width}
	if format == decode.NV12 {
		f.Planes[1] = decode.Plane{Data: unsafe.Pointer(&samples[luma]), Stride: 2 * half}
	} else {
		f.Planes[1] = decode.Plane{Data: unsafe.Pointer(&samples[luma]), Stride: half}
		f.Planes[2] = decode.Plane{Data: unsafe.Pointer(&samples[luma+half*((f.Height+1)/2)]), Stride: half}
	}
	return decode.NewFrame(f, func() {}), nil
}
