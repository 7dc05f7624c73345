package pipelines

import (
	"time"

	"sightline/decode"
	"sightline/detect"
)

// lookAtDevice follows the GPU after it was lost, or is back.
func (s *stream) lookAtDevice() {
	device, away := s.gpu.current(), s.status.is(gpuLost)
	decoder, moves := s.decoder.(decode.Mover)
	switch {
	case device == nil && !away:
		s.status.wrong(gpuLost, true)
		if moves { // it lets go of all it has there, and goes on in software
			s.dropHeld()
			before := s.decoder.Pending()
			decoder.SetGPU(nil)
			s.settle(before, gpuLost)
			if s.decoder.Pending() < before {
				s.epoch.passed = true
				s.keyframe.need(s.pull.requestKeyframe)
			}
		}
		s.follow() // gives up what it has of the engine
		reason := detect.ReasonInfo{Code: gpuLost}
		if cause := s.gpu.lost(); cause != nil {
			reason.Message = cause.Error()
		}
		s.tellDevice(reason)
	case device != nil && away:
		s.status.wrong(gpuLost, false)
		if moves { // at the next keyframe: nothing is given up for it
			decoder.SetGPU(device)
		}
		s.tellDevice(detect.ReasonInfo{Code: detect.ReasonRecovered, Message: gpuLost})
	}
}

// tellDevice tells of the device, once the stream delivers.
func (s *stream) tellDevice(reason detect.ReasonInfo) {
	if !s.epoch.online {
		return
	}
	at := s.seen
	if s.live {
		at = time.Now().UTC()
	}
	s.degrade(reason, at)
}

// hostCopy is a frame's pixels where the processor reads them: the frame itself, or a
// copy made at the first call. The frame's users have it until forgetCopy. nil: it could
// not be made, which was told.
func (s *stream) hostCopy(f *decode.Frame) *decode.Frame {
	if f.Memory == decode.Host {
		return f
	}
	if s.copy != nil {
		return s.copy
	}
	w := s.gate.aside(workPreprocess)
	host, err := decode.Download(f)
	s.gate.leave(w)
	if err != nil {
		s.warnings.warn(s.log, "picture could not be brought from the GPU", err)
		return nil
	}
	s.copy = host
	return host
}

func (s *stream) forgetCopy() {
	if s.copy != nil {
		s.copy.Release()
		s.copy = nil
	}
}

// enterFor takes a core for work on a frame, unless it is a GPU that works.
func (s *stream) enterFor(f *decode.Frame, class int) work {
	if f.Memory == decode.CUDA {
		return s.gate.aside(class)
	}
	return s.gate.enter(class, f.Received)
}

// States of a GPU.
const (
	DeviceReady = "ready"
	DeviceLost  = "lost" // streams go on without it, and it is opened again
)

// DeviceStatus is one GPU as people ask for it.
type DeviceStatus struct {
	Device  string           `json:"device"` // cuda:N
	Name    string           `json:"name"`
	Driver  string           `json:"driver"`          // version of the CUDA interface
	State   string           `json:"state"`           // DeviceReady or DeviceLost
	Error   string           `json:"error,omitempty"` // why it is lost
	Since   time.Time        `json:"since"`           // of the state
	Losses  uint64           `json:"losses"`          // so far
	Total   int64            `json:"total_bytes"`     // memory
	Free    int64            `json:"free_bytes"`
	Used    map[string]int64 `json:"used_bytes,omitempty"` // by what
	Streams int              `json:"streams"`              // that were given to it
}

// Devices is every GPU that streams were given, in the order of their first use.
func (p *Pipeline) Devices() []DeviceStatus {
	out := make([]DeviceStatus, 0, len(p.gpus))
	for _, g := range p.gpus {
		out = append(out, g.status())
	}
	return out
}

func (g *gpu) status() DeviceStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := DeviceStatus{Device: g.String(), State: DeviceReady, Since: g.since.UTC(), Losses: g.losses, Streams: len(g.streams)}
	if g.device != nil {
		g.info = g.device.Info()
		out.Used = g.device.Used()
	} else {
		out.State = DeviceLost
		g.info.Free = 0
	}
	if g.cause != nil {
		out.Error = g.cause.Error()
	}
	out.Name, out.Driver, out.Total, out.Free = g.info.Name, g.info.Driver, g.info.Total, g.info.Free
	return out
}
