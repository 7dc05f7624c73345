package onnx

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// sniff says what a file that is not ONNX looks like, from its first bytes.
func sniff(data []byte) string {
	if len(data) == 0 {
		return "it is empty"
	}
	for _, kind := range []struct {
		at          int
		magic, what string
	}{
		{0, "version https://git-lfs", "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"},
		{0, "PK\x03\x04", "a zip archive, such as a PyTorch checkpoint (.pt): export it to ONNX"},
		{0, "\x80\x02", "a Python pickle, such as an old PyTorch checkpoint: export it to ONNX"},
		{4, "TFL3", "a TensorFlow Lite model: convert it to ONNX"},
		{0, "\x89HDF", "an HDF5 file, such as a Keras model: convert it to ONNX"},
		{0, "<?xml", "XML, such as OpenVINO's own format: give the ONNX file it was made from"},
		{0, "\x1f\x8b", "a gzip archive: unpack it"},
		{0, "\x7fELF", "a program or library"},
		{0, "\x89PNG", "a PNG picture"},
		{0, "\xff\xd8\xff", "a JPEG picture"},
		{4, "ftyp", "an MP4 video"},
		{0, "RIFF", "an AVI, WAV or WebP file"},
	} {
		if len(data) >= kind.at && bytes.HasPrefix(data[kind.at:], []byte(kind.magic)) {
			return "it looks like " + kind.what
		}
	}
	head := data[:min(len(data), 512)]
	lower := strings.ToLower(strings.TrimSpace(string(head)))
	switch {
	case strings.HasPrefix(lower, "<!doctype html") || strings.HasPrefix(lower, "<html"):
		return "it looks like a web page: the download went wrong"
	case strings.HasPrefix(lower, "{"):
		return "it looks like JSON"
	case isText(head):
		return "it looks like text"
	}
	return ""
}

func isText(head []byte) bool {
	for utf8.FullRune(head) {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError || r < ' ' && !strings.ContainsRune("\t\r\n\f", r) {
			return false
		}
		head = head[n:]
	}
	return true
}
