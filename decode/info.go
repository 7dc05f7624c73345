package decode

// Info is what can be told of a decoder while it works.
type Info struct {
	Decoder string // FFmpeg's name of what decodes; "" before the first packet
	HWAccel string // the device that decodes: vaapi, qsv or cuda; "" in software
	// Note is why no device decodes where one was asked for; "" otherwise.
	Note string
	// Retries is how often a device that had refused was tried again, at keyframes and
	// with growing pauses, as it may have had no room. No picture is missing for it.
	Retries uint64
	// Held is how many bytes of pictures there are, handed out or not; Ceiling is
	// how many there can be at the size of the last picture, 0 before the first.
	// FFmpeg's AV1 decoder has memory of its own, which Held does not see.
	Held, Ceiling int64
	// Where pictures stay on a device: how many it has for this stream, with how many
	// bytes; how many frames are out; and how many pictures were not handed out
	// because as many frames were as may be.
	Surfaces     int
	SurfaceBytes int64
	Out          int
	Refused      uint64
}

// String is one line for people, such as "h264 (software; vaapi: no device /dev/dri/renderD128)".
func (i Info) String() string {
	switch {
	case i.Decoder == "":
		return "not decoding yet"
	case i.HWAccel != "":
		return i.Decoder + " (" + i.HWAccel + ")"
	case i.Note != "":
		return i.Decoder + " (software; " + i.Note + ")"
	}
	return i.Decoder + " (software)"
}

// Informer is a Decoder that tells of itself. Unlike a Decoder's methods, Info is
// safe to call from any goroutine, also after Close. Decoders that New returns
// are Informers.
type Informer interface{ Info() Info }

// Info implements Informer.
func (d *decoder) Info() Info {
	info := *d.info.Load()
	info.Held = d.memory.Bytes()
	if h := d.home.Load(); h != nil {
		info.Out = int(h.held.Load())
	}
	return info
}

// tell changes what Info says.
func (d *decoder) tell(change func(*Info)) {
	info := *d.info.Load()
	change(&info)
	d.info.Store(&info)
}
