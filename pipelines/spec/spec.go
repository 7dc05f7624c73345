// Package spec reads the YAML that describes a pipeline: it layers files and
// overrides, substitutes variables, checks everything it can without opening
// anything, and hands out typed values. It keeps where each value came from.
//
// The types' tags are the one place that says what a key is called (yaml), which
// values it takes and what it is when absent (jsonschema: required, enum,
// minimum, maximum, default), which kinds of rule, sink or stream have it
// (kinds), and whether it is a path relative to its file (path). Loader and JSON
// Schema both read them.
package spec

import "time"

// Pipeline is one whole file, after layering, with every default filled in. It
// is read-only once loaded and safe to share.
type Pipeline struct {
	// Version of the format; this program reads 1.
	Version int `yaml:"version" jsonschema:"required,minimum=1,maximum=1"`
	// Name of the pipeline.
	Name string `yaml:"name" jsonschema:"required" name:"yes"`
	// Site the events come from; the name when absent. Site and stream name an event's source.
	Site string `yaml:"site" name:"yes"`
	// DrainTimeout bounds how long a stop waits for what is under way.
	DrainTimeout time.Duration `yaml:"drain_timeout" jsonschema:"default=30s"`
	// Defaults are merged into every stream.
	Defaults *StreamDefaults `yaml:"defaults"`
	// Detect says which network runs, where, how often, and what it reports.
	Detect Detect `yaml:"detect"`
	// Track says how objects are followed.
	Track Track `yaml:"track"`
	// Decode tunes the video decoders.
	Decode Decode `yaml:"decode"`
	// Quality says which faults of the picture are told.
	Quality Quality `yaml:"quality"`
	// Streams by name, in the order of the file.
	Streams []Stream `yaml:"streams,named" jsonschema:"required"`
	// Rules turn tracks into events; one applies on every stream that has its zone or line.
	Rules []Rule `yaml:"rules"`
	// Sinks are where events go.
	Sinks []Sink `yaml:"sinks"`
	// Snapshots keeps a picture of the objects of some events; without it none is kept.
	Snapshots *Snapshots `yaml:"snapshots"`
	// Web is the page and the API; without it nothing listens.
	Web *Web `yaml:"web"`

	origins map[string]Origin // by key path; absent means the default
}

// Detect configures inference for all streams.
type Detect struct {
	// Model is a name from `sightline models`, or a path to an .onnx file or a model's .yaml.
	Model string `yaml:"model" jsonschema:"default=coco-nano" path:"model"`
	// Engine that runs the network; auto takes the fastest that is there.
	Engine string `yaml:"engine" jsonschema:"enum=auto,enum=onnxruntime,enum=openvino,enum=tensorrt,default=auto"`
	// Device is auto, cpu or cuda:N, the Nth NVIDIA GPU; auto takes the least loaded GPU for each stream, and the CPU where there is none.
	Device string `yaml:"device" jsonschema:"pattern=^(auto|cpu|cuda:[0-9]+)$,default=auto" want:"auto, cpu or cuda:N"`
	// Precision the engine computes in.
	Precision string `yaml:"precision" jsonschema:"enum=auto,enum=f32,enum=f16,enum=bf16,enum=int8,default=auto"`
	// Memory bounds what networks and batches take of each GPU, decoders' surfaces left out (see decode.surfaces); when absent nine tenths of what is free at the start.
	Memory Size `yaml:"memory"`
	// CUDAGraphs has GPUs replay a recording of the network for each batch size (1, 2, 4 … max) instead of launching its parts one by one; with ONNX Runtime's CUDA engine only. Not yet measured on hardware.
	CUDAGraphs bool `yaml:"cuda_graphs"`
	// Input is the size the network sees: `aspect` (the model's area in the picture's own shape), `model`, or WIDTHxHEIGHT.
	Input Input `yaml:"input" jsonschema:"default=aspect"`
	// FPS is inferences a second and stream on the stream's own time grid, or `all`. When absent: 5 for live streams, all for files.
	FPS FPS `yaml:"fps"`
	// Classes to report; none means every class of the model.
	Classes []string `yaml:"classes"`
	// Confidence below which a detection is not reported.
	Confidence float64 `yaml:"confidence" jsonschema:"minimum=0,maximum=1,default=0.4"`
	// Batch bounds what runs together.
	Batch Batch `yaml:"batch"`
	// Optimize makes a smaller network of the model while the model works; without it the model runs as it is.
	Optimize *Optimize `yaml:"optimize"`
}

// Batch bounds a batch of inferences.
type Batch struct {
	// Max is the most frames in one batch.
	Max int `yaml:"max" jsonschema:"minimum=1,maximum=256,default=4"`
	// Deadline is how long the oldest frame waits for company on a GPU.
	Deadline time.Duration `yaml:"deadline" jsonschema:"default=20ms"`
}

// Track configures the tracker.
type Track struct {
	// Kind of tracker.
	Kind string `yaml:"kind" jsonschema:"enum=bytetrack,default=bytetrack"`
	// High is the score from which a box is matched first.
	High float64 `yaml:"high" jsonschema:"minimum=0,maximum=1,default=0.5"`
	// Low is the score from which a box can still continue a track; when absent no more than high.
	Low float64 `yaml:"low" jsonschema:"minimum=0,maximum=1,default=0.1"`
	// New is the score from which an unmatched box starts a track; when absent no less than high.
	New float64 `yaml:"new" jsonschema:"minimum=0,maximum=1,default=0.6"`
	// UpdateEvery is the stream time between object.updated events of an unchanged object.
	UpdateEvery time.Duration `yaml:"update_every" jsonschema:"default=5s"`
}

// Decode tunes the decoder of a stream.
type Decode struct {
	// Threads of one decoder; one costs least a picture.
	Threads int `yaml:"threads" jsonschema:"minimum=1,maximum=32,default=1"`
	// SkipLoopFilter trades a little picture quality for speed: none or all frames without the deblocking filter.
	SkipLoopFilter string `yaml:"skip_loop_filter" jsonschema:"enum=none,enum=all,default=none"`
	// Damage: hold keeps pictures that build on lost data from being analyzed until the next clean one; pass lets them through.
	Damage string `yaml:"damage" jsonschema:"enum=hold,enum=pass,default=hold"`
	// Skip is what need not be decoded: nothing, pictures no other builds on, all but keyframes, or as much as detect.fps allows.
	Skip string `yaml:"skip" jsonschema:"enum=none,enum=nonref,enum=nonkey,enum=auto,default=auto"`
	// HWAccel decodes on a device, and on the processor where the device is missing. With a GPU as detect.device, auto and cuda leave the pictures in its memory.
	HWAccel string `yaml:"hwaccel" jsonschema:"enum=none,enum=auto,enum=vaapi,enum=qsv,enum=cuda,default=none"`
	// Surfaces are pictures in a GPU's memory that a stream may have on their way to its network, beyond what the codec itself refers to; 3 at least are kept ready, with snapshots 5.
	Surfaces int `yaml:"surfaces" jsonschema:"minimum=2,maximum=32,default=8"`
}

// Quality says which faults of the picture raise stream.degraded.
type Quality struct {
	// Watch lists the faults; when absent all of them, [] for none.
	Watch []string `yaml:"watch" jsonschema:"enum=frozen,enum=black,enum=covered,enum=blurred,enum=moved"`
	// For is how long a fault lasts before it is told.
	For time.Duration `yaml:"for" jsonschema:"default=10s"`
}

// Web configures the HTTP server.
type Web struct {
	// Listen is HOST:PORT. Beyond loopback it asks for auth.
	Listen string `yaml:"listen" jsonschema:"default=127.0.0.1:8080"`
	// Auth is what a client must present.
	Auth *Auth `yaml:"auth"`
	// Media is where WebRTC's media is received and sent.
	Media Media `yaml:"media"`
}

// Media names the ports and addresses of WebRTC.
type Media struct {
	// UDPPort is one port for all media over UDP; 0 takes a free one for each session.
	UDPPort int `yaml:"udp_port" jsonschema:"minimum=0,maximum=65535,default=0"`
	// TCPPort is a port for media over TCP, where UDP does not pass; 0 is none.
	TCPPort int `yaml:"tcp_port" jsonschema:"minimum=0,maximum=65535,default=0"`
	// Addresses to announce beside this machine's own, such as the public one of a router.
	Addresses []string `yaml:"addresses"`
	// ICEServers are named to those who publish, who may need them to get through to us.
	ICEServers []ICEServer `yaml:"ice_servers"`
}

// ICEServer is a STUN or TURN server.
type ICEServer struct {
	// URL such as stun:HOST:PORT or turn:HOST:PORT?transport=udp.
	URL string `yaml:"url" jsonschema:"required,pattern=^(stun|stuns|turn|turns):[^ <>]+$" want:"an address such as stun:HOST:PORT or turn:HOST:PORT"`
	// Username for turn.
	Username string `yaml:"username"`
	// Password for turn.
	Password Secret `yaml:"password"`
}

// Auth is either username and password, or a bearer token, or both.
type Auth struct {
	// Username for HTTP Basic.
	Username string `yaml:"username"`
	// Password for HTTP Basic.
	Password Secret `yaml:"password"`
	// Token for `Authorization: Bearer`.
	Token Secret `yaml:"token"`
}

// EngineMemory is what one network's engine may take of a GPU for itself, in bytes:
// networks share half of detect.memory, the other half is for batches. 0 is no bound.
func (p *Pipeline) EngineMemory() int64 {
	models := map[string]bool{}
	for _, st := range p.Streams {
		models[st.Detect.Model] = true
	}
	return int64(p.Detect.Memory) / 2 / int64(max(1, len(models)))
}
