package pipelines

import (
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
	"sightline/kernels/cuda"
	"sightline/pipelines/spec"
)

// lookAtDevice follows the GPU after it was lost, or is back: maybe another one already.
func (s *stream) lookAtDevice() {
	device := s.gpu.current()
	if device == s.device {
		return
	}
	if s.device != nil {
		s.leaveDevice()
	}
	if s.device = device; device != nil {
		s.takeDevice()
	}
}

// leaveDevice lets go of all that the stream has on a lost GPU, and goes on in software.
func (s *stream) leaveDevice() {
	s.status.wrong(gpuLost, true)
	if decoder, moves := s.decoder.(decode.Mover); moves {
		s.dropHeld()
		before := s.decoder.Pending()
		decoder.SetGPU(nil)
		s.settle(before, gpuLost)
		if s.decoder.Pending() < before {
			s.epoch.passed = true
			s.keyframe.need(s.pull.requestKeyframe)
		}
	}
	s.shoot.leaveDevice()
	s.fetcher.Close()
	s.follow() // gives up what it has of the engine
	reason := detect.ReasonInfo{Code: gpuLost}
	if cause := s.gpu.lost(); cause != nil {
		reason.Message = cause.Error()
	}
	s.tellDevice(reason)
}

// takeDevice goes back to the GPU with the next keyframe: nothing is given up for it.
func (s *stream) takeDevice() {
	s.status.wrong(gpuLost, false)
	if decoder, moves := s.decoder.(decode.Mover); moves {
		decoder.SetGPU(s.device)
	}
	s.tellDevice(detect.ReasonInfo{Code: detect.ReasonRecovered, Message: gpuLost})
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

// surfaces is how many of a stream's pictures may be out on a GPU: as many as it says,
// but no fewer than come together where all goes well, those that kernels and the
// photographer hold and the next one. With fewer a live stream would refuse pictures.
func (p *Pipeline) surfaces(st *spec.Stream) int {
	least := onnx.MaxHeld + 1
	if p.snapshots != nil {
		least += mostHeld
	}
	return max(st.Decode.Surfaces, least)
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
	host, err := s.fetcher.Whole(f)
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
	Graphs  int              `json:"cuda_graphs"`          // that were recorded: see detect.cuda_graphs
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
	device, info := g.ask()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := DeviceStatus{
		Device: g.String(), Name: info.Name, Driver: info.Driver, State: DeviceReady, Since: g.since.UTC(), Losses: g.losses,
		Total: info.Total, Free: info.Free, Streams: len(g.streams), Graphs: g.graphs(),
	}
	if device != nil && device == g.device {
		out.Used = device.Used()
	} else {
		out.Free = 0
	}
	if g.cause != nil {
		out.State, out.Error = DeviceLost, g.cause.Error()
	}
	return out
}

// graphs is how many CUDA graphs its networks have.
func (g *gpu) graphs() (n int) {
	for _, d := range g.detectors {
		if e := d.now.Load(); e != nil {
			n += e.session.Graphs()
		}
	}
	return n
}

// ask has the driver tell of the device, while nothing is locked: it may be slow. The
// device is nil, and the answer as it was last, while the device is lost.
func (g *gpu) ask() (cuda.Device, cuda.Info) {
	g.mu.Lock()
	device, info := g.device, g.info
	g.mu.Unlock()
	if device != nil {
		info = device.Info()
	}
	return device, info
}
