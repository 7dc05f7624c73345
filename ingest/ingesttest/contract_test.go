package ingesttest_test

import (
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

func TestScriptedKeepsTheContract(t *testing.T) {
	ingesttest.Run(t, ingesttest.Case{Name: "paced", New: func(t *testing.T) ingest.Source {
		return &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{
			{Packets: ingesttest.H264(40, 10, 10*time.Millisecond), Paced: true, Hold: true},
		}}
	}})
}
