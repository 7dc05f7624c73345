package web

import (
	"encoding/json"
	"net/http"

	"sightline/detect"
	"sightline/pipelines"
)

// answer writes v as JSON.
func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(body, '\n'))
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.pipeline.Running() {
		http.Error(w, "the pipeline is not running", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ready\n"))
}

// line and zone are what the page draws.
type line struct {
	Name   string         `json:"name"`
	Points []detect.Point `json:"points"`
	Counts map[string]int `json:"counts,omitempty"` // crossings by direction since the start; absent where no rule counts
}

type zone struct {
	Name      string         `json:"name"`
	Polygon   []detect.Point `json:"polygon"`
	Occupancy *int           `json:"occupancy,omitempty"` // absent where no rule tells
}

// streamView is a stream's status with what is drawn over its picture.
type streamView struct {
	pipelines.StreamStatus
	Lines []line `json:"lines"`
	Zones []zone `json:"zones"`
}

func (s *Server) views() []streamView {
	status := s.pipeline.Streams()
	out := make([]streamView, len(status))
	for i, st := range status {
		out[i] = streamView{StreamStatus: st, Lines: []line{}, Zones: []zone{}}
	}
	for i, st := range s.pipeline.Spec().Streams {
		for _, l := range st.Lines {
			out[i].Lines = append(out[i].Lines, line{l.Name, l.Points, s.recent.crossings(st.Name, l.Name)})
		}
		for _, z := range st.Zones {
			out[i].Zones = append(out[i].Zones, zone{z.Name, z.Polygon, s.recent.occupancy(st.Name, z.Name)})
		}
	}
	return out
}

func (s *Server) streams(w http.ResponseWriter, _ *http.Request) { answer(w, s.views()) }

func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	for _, v := range s.views() {
		if v.Name == r.PathValue("stream") {
			answer(w, v)
			return
		}
	}
	http.Error(w, "no stream of that name", http.StatusNotFound)
}

func (s *Server) sinks(w http.ResponseWriter, _ *http.Request) { answer(w, s.pipeline.Sinks()) }

// deviceView is a GPU's status, and what its used_bytes may come to in all.
type deviceView struct {
	pipelines.DeviceStatus
	Budget int64 `json:"budget_bytes,omitempty"` // absent: most of what was free at the start
}

// devices are the GPUs in use, none where everything runs on the processor.
func (s *Server) devices(w http.ResponseWriter, _ *http.Request) {
	out := []deviceView{}
	for _, d := range s.pipeline.Devices() {
		out = append(out, deviceView{d, int64(s.pipeline.Spec().Detect.Memory) / 2}) // the other half is the engines' own
	}
	answer(w, out)
}

// ledger is the account of every stream; of those that are not in the file (any
// more), and of "-", which is about none, there are only the sinks'.
func (s *Server) ledger(w http.ResponseWriter, _ *http.Request) {
	out := map[string]detect.Ledger{}
	for _, st := range s.pipeline.Streams() {
		out[st.Name] = st.Ledger
	}
	for _, s := range s.pipeline.Sinks() {
		for stream, l := range s.Others {
			entry, ok := out[stream]
			if !ok {
				entry = detect.Ledger{Undecoded: map[string]uint64{}, Skipped: map[string]uint64{}, Sinks: map[string]detect.SinkLedger{}}
			}
			entry.Sinks[s.Name] = l
			out[stream] = entry
		}
	}
	answer(w, out)
}

// describe is what the page needs to know once.
func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	sp := s.pipeline.Spec()
	answer(w, struct {
		Name string `json:"name"`
		Site string `json:"site"`
	}{sp.Name, sp.Site})
}
