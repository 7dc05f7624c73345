package decode

import (
	"bytes"
	"slices"

	"sightline/ingest"
	"sightline/internal/libav"
)

// trial is what a device was given before it has shown a picture: it may fail as late as
// that, and then software begins where it did. The zero value is none.
type trial struct {
	on      bool
	packets []tried
}

// tried is one packet, with data of its own.
type tried struct {
	id     uint64
	packet ingest.Packet
}

func (t *trial) add(p ingest.Packet, id uint64) {
	if len(t.packets) == maxWindow {
		t.packets = slices.Delete(t.packets, 0, 1) // it has no picture
	}
	p.Data = bytes.Clone(p.Data)
	t.packets = append(t.packets, tried{id, p})
}

// judge looks at what a device made of its first packets, drained or not. Where it fails
// and software does not, software it is; where both fail, it was the packets.
func (d *decoder) judge(frames []libav.Frame, err error, drained bool) ([]libav.Frame, error) {
	device, packets := d.device, d.trial.packets
	p := packets[len(packets)-1].packet
	if err == nil {
		if d.trial = (trial{}); d.av.OnDevice() {
			d.watch(p)
		} else {
			d.giveUpDevices(p, refusal(device, p.Codec, d.passing()), d.passing())
		}
		return frames, nil
	}
	for _, f := range frames {
		d.free(f)
	}
	failed, home := d.av, d.home.Load()
	if openErr := d.openSoftware(p); openErr != nil {
		return nil, openErr
	}
	failed.Close()
	home.release()
	frames, sound, softErr := d.repeat(packets, drained)
	if sound {
		d.giveUpDevices(p, device+": "+err.Error(), device == "cuda" && d.config.GPU != nil)
	}
	return frames, softErr
}

// repeat decodes packets again, with a decoder that was given none. sound tells whether
// all of them could be; the error is the last one's, or that of draining.
func (d *decoder) repeat(packets []tried, drained bool) (frames []libav.Frame, sound bool, err error) {
	frames, sound = d.frames[:0], true
	for i, t := range packets {
		frames, err = d.av.Decode(t.packet.Data, int64(t.id), frames)
		sound = sound && err == nil
		if !drained && i == len(packets)-1 {
			return frames, sound, err // the caller takes note of it
		}
		d.note(t.packet, t.id)
		if err != nil {
			_ = d.failed(t.packet, t.id, err) // nobody asks about it any more
		}
	}
	frames, err = d.av.Drain(frames)
	return frames, sound && err == nil, err
}
