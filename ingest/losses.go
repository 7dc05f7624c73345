package ingest

// Losses is what did not come as it was sent, in packets of the network, since a
// source was made: the sum over its epochs.
type Losses struct {
	Lost      uint64 `json:"lost"`      // never came, or came too late to be of use
	Late      uint64 `json:"late"`      // came too late, or a second time after their place was passed
	Repeated  uint64 `json:"repeated"`  // came a second time while waiting
	Restarts  uint64 `json:"restarts"`  // times that the sender began to count anew, and nobody knows how many are missing
	Malformed uint64 `json:"malformed"` // not to be read, as a whole or a header extension of theirs
}

// Plus is the sum of both.
func (l Losses) Plus(other Losses) Losses {
	return Losses{
		Lost: l.Lost + other.Lost, Late: l.Late + other.Late, Repeated: l.Repeated + other.Repeated,
		Restarts: l.Restarts + other.Restarts, Malformed: l.Malformed + other.Malformed,
	}
}

// LossReporter is a Source whose packets can get lost. Losses never shrinks, does
// not block for long and is safe to call from any goroutine.
type LossReporter interface{ Losses() Losses }
