package decode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"sightline/ingest"
	"sightline/internal/libav"
	"sightline/kernels/cuda"
)

// devices lists what each word of Config.HWAccel tries, best first.
var devices = map[string][]string{
	"": nil, "none": nil, "auto": {"cuda", "vaapi"}, "vaapi": {"vaapi"}, "qsv": {"qsv"}, "cuda": {"cuda"},
}

// open opens a decoder for p where none is open: on the first device that takes
// it, else in software. Its pictures come to host memory, unless it is CUDA's and
// Config.GPU says where they stay.
func (d *decoder) open(p ingest.Packet) error {
	if d.av != nil {
		return nil
	}
	d.settle()
	var why []string
	passing := false
	for _, device := range d.devices {
		err := d.openDevice(p, device)
		if err == nil {
			return nil
		}
		passing = passing || device == "cuda" && errors.Is(err, cuda.ErrMemory)
		why = append(why, device+": "+deviceTrouble(device, p.Codec, err))
	}
	if why != nil {
		d.giveUpDevices(p, strings.Join(why, ", "), passing)
	}
	return d.openSoftware(p)
}

func (d *decoder) openDevice(p ingest.Packet, device string) error {
	o := d.options(p, device)
	var home *surfaces
	if d.config.GPU != nil && device == "cuda" {
		if p.Rotation != 0 {
			return errTurned
		}
		var err error
		if home, err = newSurfaces(d.config.GPU, d.config.Held); err != nil {
			return err
		}
		o.CUDA, o.Threads = home.native(), 1
	}
	var av avDecoder
	var err error
	cuda.Beside(func() { av, err = d.openAV(o) })
	if err != nil {
		home.release()
		return err
	}
	if device == "cuda" {
		av = aside{av}
	}
	d.device, d.trial = device, trial{on: true}
	d.home.Store(home)
	d.opened(p, av)
	return nil
}

// errTurned is for pictures that would have to be turned on the device.
var errTurned = errors.New("pictures on the device are not turned upright")

func (d *decoder) openSoftware(p ingest.Packet) error {
	av, err := d.openAV(d.options(p, ""))
	if errors.Is(err, libav.ErrNoDecoder) {
		return fmt.Errorf("decode: %w %q", ErrUnsupported, p.Codec)
	}
	if err != nil {
		return fmt.Errorf("open %s decoder: %w", p.Codec, err)
	}
	d.device, d.trial = "", trial{}
	d.home.Store(nil)
	d.opened(p, av)
	return nil
}

func (d *decoder) options(p ingest.Packet, device string) libav.DecoderOptions {
	c := container(p)
	frameThreads := !d.config.Live && d.config.Threads > 1 && device == ""
	threads := d.config.Threads
	if p.Codec == ingest.H264 && !frameThreads {
		threads = 1 // FFmpeg does not see damage in slices that it decodes side by side
	}
	o := libav.DecoderOptions{
		Codec: string(p.Codec), Extradata: p.Extradata, Width: c.Width, Height: c.Height, Tag: c.Tag,
		BitsPerSample: c.BitsPerSample, PixelFormat: c.PixelFormat, Threads: threads,
		FrameThreads: frameThreads, LowDelay: d.config.Live, Device: device,
	}
	d.bound(&o)
	return o
}

func (d *decoder) opened(p ingest.Packet, av avDecoder) {
	d.dirty, d.taken = false, 0
	d.av, d.codec, d.extradata, d.container = av, p.Codec, p.Extradata, container(p)
	av.SetSkipFilter(d.filter.native())
	d.tell(func(i *Info) { i.Decoder, i.HWAccel = av.Name(), "" })
	d.config.Logger.Debug("decoder opened", slog.String("stream", p.Stream), slog.String("codec", string(p.Codec)),
		slog.String("decoder", av.Name()), slog.Int("threads", d.config.Threads))
}

// giveUpDevices decodes in software from now on, and says why, once a stream; where that
// is passing the device is tried again.
func (d *decoder) giveUpDevices(p ingest.Packet, why string, passing bool) {
	known := d.info.Load().Note == why
	d.devices = nil
	if passing {
		d.retry.later()
	} else {
		d.retry = retry{}
	}
	d.tell(func(i *Info) { i.Note, i.HWAccel, i.Surfaces, i.SurfaceBytes = why, "", 0, 0 })
	level := slog.LevelWarn
	switch {
	case known:
		level = slog.LevelDebug // it was tried again
	case d.config.HWAccel == "auto":
		level = slog.LevelInfo // nobody counted on one
	}
	d.config.Logger.Log(context.Background(), level, "no hardware decoding, decoding in software",
		slog.String("stream", p.Stream), slog.String("hwaccel", d.config.HWAccel), slog.String("reason", why))
}

// watch follows a device: where it does not take what the stream has become, such as
// a larger size, FFmpeg goes on in software by itself, and may come back.
func (d *decoder) watch(p ingest.Packet) {
	info := d.info.Load()
	if d.device == "" || !d.av.OnDevice() {
		if info.HWAccel != "" {
			d.giveUpDevices(p, info.HWAccel+": does not take this "+string(p.Codec)+" any more", d.passing())
		}
		return
	}
	n, bytes := d.av.Surfaces()
	if h := d.home.Load(); h != nil {
		h.most = int64(d.av.Held())
	}
	d.retry = retry{}
	if info.HWAccel == "" || n != info.Surfaces || bytes != info.SurfaceBytes {
		d.tell(func(i *Info) { i.HWAccel, i.Note, i.Surfaces, i.SurfaceBytes = d.device, "", n, bytes })
	}
}

// refusal is why FFmpeg decodes in software though there is a device, in words.
func refusal(device string, codec ingest.Codec, failed bool) string {
	switch {
	case device == "cuda" && !libav.HasNVDEC():
		return "cuda: no libnvcuvid.so.1: install the driver's library for decoding"
	case failed:
		return device + ": no decoder for this " + string(codec) + ": the device has no room for one more, or does not take it"
	}
	return device + ": does not take this " + string(codec)
}

// deviceTrouble is why a device cannot be used, in words.
func deviceTrouble(device string, codec ingest.Codec, err error) string {
	switch {
	case errors.Is(err, libav.ErrNoDecoder):
		return "no decoder of " + string(codec) + " in this FFmpeg"
	case !errors.Is(err, libav.ErrNoDevice):
		return err.Error()
	case device == "cuda":
		return "no device, or no driver (libcuda.so.1, libnvcuvid.so.1)"
	}
	found, _ := filepath.Glob("/dev/dri/renderD*")
	if len(found) == 0 {
		return "no device /dev/dri/renderD128"
	}
	return "no driver for " + found[0]
}
