package cli

import (
	"strings"
	"testing"

	"sightline/detect"
	"sightline/pipelines"
)

func TestStatusSaysWhatASinksSpoolHolds(t *testing.T) {
	var out strings.Builder
	printSink(&out, pipelines.SinkStatus{
		Name: "events", Kind: "kafka", State: "degraded", Troubles: []string{"spool_failed", "unreachable"}, Error: "no route to host",
		Events: 12, Bytes: 9000, OldestS: 61.7, HeldKeys: 2, DeadLetters: 3, DeadLetter: "spool/events/dead-letters.jsonl",
		Spool:  &pipelines.Spool{Path: "spool/events", Disk: 4096, Unsynced: 5},
		Ledger: detect.SinkLedger{Made: 40, Acknowledged: 20, Spooled: 12, DeadLettered: 3, Recovered: 7, Dropped: map[string]uint64{"queue_full": 5}},
	})
	for _, part := range []string{
		"sink events (kafka): degraded, spool_failed, unreachable: no route to host\n", "made 40, filtered 0, acknowledged 20, waiting 12",
		"an earlier run left 7", "12 events wait (9000 bytes), the oldest for 62 s; 2 keys are held back",
		"spool spool/events: FAILING, 4096 bytes on disk, 5 events not on disk yet", "3 dead letters in spool/events/dead-letters.jsonl",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("it does not say %q:\n%s", part, out.String())
		}
	}
}
