package cli

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows on standard error how far long work has come, where that is a
// terminal. A total of 0 is unknown.
func (sh *shell) progress(total int, what string) *progressbar.ProgressBar {
	f, ok := sh.err.(*os.File)
	if total <= 0 {
		total = -1
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(sh.err), progressbar.OptionSetDescription(what),
		progressbar.OptionSetVisibility(ok && term.IsTerminal(int(f.Fd()))), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}
