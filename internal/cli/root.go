// Package cli reads flags: each command is one file with one constructor, listed
// in commands. Data goes to standard output, logs and errors to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"sightline/internal/libav"
	"sightline/pipelines/spec"
)

// commands is the one list of what `sightline` can do.
func commands(sh *shell) []*cobra.Command {
	return []*cobra.Command{
		newRun(sh),
		newEval(sh),
		newBench(sh),
		newProbe(sh),
		newModels(sh),
		newWarmup(sh),
		newOptimize(sh),
		newOptimizeJob(sh),
		newVerify(sh),
		newStatus(sh),
		newDoctor(sh),
		newDemo(sh),
		newCheck(sh),
		newRender(sh),
		newSchema(sh),
		newVersion(sh),
	}
}

// shell is what a command needs of the world around it.
type shell struct {
	out, err io.Writer
	env      spec.Env
	log      *slog.Logger // set before a command runs
	args     []string     // the command line, this program's name left out
	machine  machine
}

// Exit codes.
const (
	exitDone    = 0
	exitNothing = 1 // nothing useful done: bad config, nothing ran
	exitUsage   = 2 // wrong usage
	exitPartial = 3 // finished, but a stream failed or events were lost or undelivered
)

// ExitError ends the program with a code. Err is printed; nil means that the
// command has said it all.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// nativeArenas is how many heaps native threads share.
const nativeArenas = 2

// Main runs one command line and returns the exit code. The first SIGINT or
// SIGTERM ends the command's context, a second one the process.
func Main(args []string, stdout, stderr io.Writer, env func(string) (string, bool)) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	libav.LimitArenas(nativeArenas)
	sh := &shell{out: stdout, err: stderr, env: env, args: args, machine: realMachine()}
	root := newRoot(sh)
	root.SetArgs(args)
	return sh.report(root.ExecuteContext(ctx))
}

// report prints what went wrong and chooses the exit code. What a command
// returns is an ExitError; anything else comes from reading the command line.
func (sh *shell) report(err error) int {
	var exit *ExitError
	var mistakes spec.Diagnostics
	switch {
	case err == nil:
		return exitDone
	case !errors.As(err, &exit):
		fmt.Fprintf(sh.err, "sightline: %v\nRun 'sightline --help' for usage.\n", err)
		return exitUsage
	case exit.Err == nil:
	case errors.As(err, &mistakes):
		fmt.Fprintln(sh.err, mistakes)
	default:
		fmt.Fprintf(sh.err, "sightline: %v\n", exit.Err)
	}
	return exit.Code
}

func newRoot(sh *shell) *cobra.Command {
	var format, level string
	root := &cobra.Command{
		Use:           "sightline",
		Short:         "Camera, browser and file streams in, labeled events out",
		Example:       "  sightline demo\n  sightline run pipeline.yaml\n  sightline check pipeline.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			log, err := newLogger(sh.err, format, level)
			sh.log = log
			return err
		},
	}
	root.SetOut(sh.out)
	root.SetErr(sh.err)
	root.PersistentFlags().StringVar(&format, "log-format", "text", "format of the log on standard error: text or json")
	root.PersistentFlags().StringVar(&level, "log-level", "info", "least severe message to log: debug, info, warn or error")
	for _, c := range commands(sh) {
		failWithCode(c)
		root.AddCommand(c)
	}
	return root
}

// failWithCode gives the errors of a command and those below it the exit code 1
// where they have none.
func failWithCode(c *cobra.Command) {
	for _, sub := range c.Commands() {
		failWithCode(sub)
	}
	run := c.RunE
	if run == nil {
		return
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		var exit *ExitError
		if err == nil || errors.As(err, &exit) {
			return err
		}
		return &ExitError{exitNothing, err}
	}
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is none of debug, info, warn, error", level)
	}
	options := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q is neither text nor json", format)
}
