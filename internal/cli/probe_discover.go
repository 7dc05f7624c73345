package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sightline/ingest/onvif"
)

// lookAround is how long cameras have to answer: they may wait half a second by
// themselves, so as not to answer all at once.
const lookAround = 3 * time.Second

// cameraReport is one camera that answered.
type cameraReport struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
	Model   string `json:"model,omitempty"`
}

// discover asks the networks of this machine which ONVIF cameras there are.
func (p *probing) discover(ctx context.Context, sh *shell, multicast string) error {
	bar := sh.progress(0, "looking for cameras")
	asking, cancel := context.WithTimeout(ctx, min(lookAround, p.timeout))
	found, err := onvif.Discover(asking, multicast)
	cancel()
	bar.Finish()
	if err := cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("no ONVIF camera answered on this machine's networks: ask one by its address, `sightline probe HOST`")
	}
	list := make([]cameraReport, len(found))
	for i, f := range found {
		list[i] = cameraReport{strings.TrimSuffix(f.Address, "/onvif/device_service"), f.Name, f.Model}
	}
	if p.asJSON {
		return printJSON(sh.out, list)
	}
	for _, c := range list {
		fmt.Fprintln(sh.out, strings.TrimSpace(fmt.Sprintf("%-32s %s %s", c.Address, c.Name, c.Model)))
	}
	fmt.Fprintf(sh.out, "\nNext: sightline probe %s --username NAME, with the password in %s\n", list[0].Address, passwordVariable)
	return nil
}
