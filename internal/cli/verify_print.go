package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"sightline/sink/verify"
)

// shownGaps is how many gaps of a key are listed.
const shownGaps = 20

// printVerified prints the report: a table of the keys, what is missing, the faults,
// and a last line that says whether all is sound.
func printVerified(out io.Writer, r verify.Report, asJSON, withFaults bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(struct {
			Sound bool `json:"sound"`
			verify.Report
		}{r.Sound(), r})
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tKEY\tPARTITION\tEVENTS\tFIRST\tLAST\tMISSING\tREPEATED\tREORDERED\tFOREIGN\t")
	for _, k := range r.Keys {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
			k.Topic, k.Key, k.Partition, k.Events, k.First, k.Last, k.Missing, k.Repeated, k.Reordered, k.Foreign, keyNotes(k))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, k := range r.Keys {
		if len(k.Gaps) > 0 {
			fmt.Fprintf(out, "missing of %s in %s: %s\n", k.Key, k.Topic, gapsText(k.Gaps))
		}
	}
	if withFaults {
		for _, f := range r.Faults {
			if f.Kind != verify.Missing {
				fmt.Fprintln(out, faultText(f))
			}
		}
	}
	told := 0
	for _, f := range r.Faults {
		if f.Kind != verify.Missing {
			told++
		}
	}
	all := uint64(0)
	for kind, n := range r.Counts {
		if kind != verify.Missing {
			all += n
		}
	}
	if all > uint64(told) {
		fmt.Fprintf(out, "… and %d faults more\n", all-uint64(told))
	}
	if r.Counts[verify.Contradiction] > 0 {
		fmt.Fprintln(out, "an id with other data: did several runs read a file in real time? They give its events the same ids, of other pictures; give each run a topic of its own")
	}
	_, err := fmt.Fprintln(out, verdictText(r))
	return err
}

// keyNotes is what of a key is worth saying and no fault.
func keyNotes(k verify.Key) string {
	var notes []string
	note := func(n uint64, format string) {
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, n))
		}
	}
	note(k.Before, "%d older than what was read")
	note(k.Remade, "%d made again after a replay")
	note(k.Uncompared, "%d repeats from beyond the window")
	note(k.Restarts, "numbered anew %d times: what was lost just before cannot be told")
	return strings.Join(notes, ", ")
}

func gapsText(gaps []verify.Range) string {
	var parts []string
	for _, g := range gaps[:min(len(gaps), shownGaps)] {
		if g.First == g.Last {
			parts = append(parts, fmt.Sprint(g.First))
		} else {
			parts = append(parts, fmt.Sprintf("%d–%d", g.First, g.Last))
		}
	}
	if more := len(gaps) - shownGaps; more > 0 {
		parts = append(parts, fmt.Sprintf("… and %d gaps more", more))
	}
	return strings.Join(parts, ", ")
}

func faultText(f verify.Fault) string {
	if f.Offset < 0 {
		return fmt.Sprintf("%s: %s, key %s: %s", f.Kind, f.Topic, f.Key, f.Text)
	}
	return fmt.Sprintf("%s: %s/%d at %d, key %s, id %s: %s", f.Kind, f.Topic, f.Partition, f.Offset, f.Key, f.ID, f.Text)
}

func verdictText(r verify.Report) string {
	read := fmt.Sprintf("%d messages of %d keys", r.Messages, len(r.Keys))
	ids := fmt.Sprintf("%d ids recomputed", r.Proven)
	if r.Shaped > 0 {
		ids += fmt.Sprintf(", %d known by their form alone", r.Shaped)
	}
	if r.Sound() {
		return fmt.Sprintf("sound: %s, %s", read, ids)
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, r.Counts[kind]))
	}
	return fmt.Sprintf("not sound: %s; %s, %s", strings.Join(kinds, ", "), read, ids)
}
