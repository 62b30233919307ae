package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/config"
)

// The exit codes of every verb.
const (
	exitGood        = 0 // done, also after SIGTERM, except for demo
	exitNo          = 1 // the answer is no: different, unhealthy, timed out
	exitWrong       = 2 // the command or the config is wrong
	exitUnreachable = 3 // Postgres, Kafka, the registry or ClickHouse could not be reached
)

// exitError carries an exit code with its reason.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func answerNo(err error) error    { return &exitError{exitNo, err} }
func wrong(err error) error       { return &exitError{exitWrong, err} }
func unreachable(err error) error { return &exitError{exitUnreachable, err} }

// verdict gives the error of a verb that asks its exit code; nil for nil.
func verdict(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cdc.ErrUnreachable):
		return unreachable(err)
	case errors.Is(err, cdc.ErrRefused):
		return wrong(err)
	case errors.Is(err, context.Canceled):
		return errInterrupted
	}
	return answerNo(err)
}

// questions are the verbs that change nothing and answer once. What fails in one of them after Ctrl-C fails because of
// it: connections that are cut off say that servers are away, and tables that they cannot be compared.
var questions = []string{"check", "explain", "init", "inventory", "status", "verify", "wait"}

var errInterrupted = answerNo(errors.New("interrupted: there is no answer, and nothing was changed"))

// stream is what people write for standard input or output where a file is asked for.
const stream = "-"

// app is what the verbs share: where they write, and the flags of all of them.
type app struct {
	stdout, stderr io.Writer
	configFile     string
	configFlag     *pflag.Flag
	logLevel       string
	logFormat      string
	listen         string
	// ending is closed at SIGTERM.
	ending <-chan struct{}
	// fault is set by the test binary only.
	fault cdc.Fault
}

// execute runs one command line and gives its exit code. Nothing else of this program ends the process.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer, fault cdc.Fault) int {
	ctx, again, stop := signalled(ctx)
	defer stop()
	a := &app{stdout: stdout, stderr: stderr, ending: ctx.Done(), fault: fault}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	verb, err := untilInterrupted(ctx, again, root, args)
	if err == nil {
		return exitGood
	}
	if ctx.Err() != nil && slices.Contains(questions, verb.Name()) {
		err = errInterrupted
	}
	said := tryOnItsOwnLine(cdc.Lines(err))
	if !slices.Contains([]string{"run", "capture", "resnapshot"}, verb.Name()) { // a capture may run meanwhile
		said = cdc.StopFirst(said)
	}
	fmt.Fprintln(stderr, console.PrintableLines("Error: "+a.typable(said)))
	if coded := (*exitError)(nil); errors.As(err, &coded) {
		return coded.code
	}
	if errors.Is(err, cdc.ErrUnreachable) && !errors.Is(err, cdc.ErrRefused) {
		return exitUnreachable
	}
	return exitWrong // also cdc.ErrRefused, ErrGap and ErrFenced: a person has to decide
}

// signalled gives a context that ends at SIGINT or SIGTERM; again is closed at the next one.
func signalled(ctx context.Context) (ending context.Context, again <-chan struct{}, stop func()) {
	signals, second := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ending, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		for _, then := range []func(){end, func() { close(second) }} {
			select {
			case <-signals:
				then()
			case <-done:
				return
			}
		}
	}()
	return ending, second, func() { signal.Stop(signals); close(done); end() }
}

// impatient are the verbs that a second Ctrl-C ends at once. Whatever they do may be cut off at any point: a start goes
// on from what is committed. The others start engines, which they stop, or end at the first one.
var impatient = []string{"run", "capture", "load", "resnapshot", "purge"}

var errCutOff = answerNo(errors.New("ended at the second signal: what is committed is safe, and the next start goes on from there"))

// interruptGrace is how long a question may still take after Ctrl-C: a server that hangs keeps clients from closing.
const interruptGrace = time.Second

// untilInterrupted runs the verb. A question that does not end after Ctrl-C is left alone: it changes nothing, and the
// process ends. So is an impatient verb once again is closed.
func untilInterrupted(ctx context.Context, again <-chan struct{}, root *cobra.Command, args []string) (*cobra.Command, error) {
	asked, _, err := root.Find(args)
	question := err == nil && slices.Contains(questions, asked.Name())
	if err != nil || !question && !slices.Contains(impatient, asked.Name()) {
		return root.ExecuteContextC(ctx)
	}
	type answer struct {
		verb *cobra.Command
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		verb, err := root.ExecuteContextC(ctx)
		done <- answer{verb, err}
	}()
	select {
	case a := <-done:
		return a.verb, a.err
	case <-ctx.Done():
	}
	var grace <-chan time.Time // of a question
	if question {
		grace = time.After(interruptGrace)
	}
	select {
	case a := <-done:
		return a.verb, a.err
	case <-grace:
		return asked, errInterrupted
	case <-again:
		if question {
			return asked, errInterrupted
		}
		return asked, errCutOff
	}
}

// tryOnItsOwnLine puts the way out of each line on a line of its own.
func tryOnItsOwnLine(message string) string {
	lines := strings.Split(message, "\n")
	for i, line := range lines {
		if p := cdc.ParseProblem(line); len(p.Try) > 0 {
			lines[i] = p.What + ".\n" + cdc.WriteRemedies(p.Try)
		}
	}
	return strings.Join(lines, "\n")
}

// withWayOut makes a verb's refusal of its arguments say what to do.
func withWayOut(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return wrong((&cdc.Problem{Cause: err}).Fix("%s --help", c.CommandPath()))
		}
		return nil
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "dirtbike",
		Short: "Keep ClickHouse tables equal to Postgres, through Kafka",
		Long: "dirtbike reads Postgres' own change log, publishes each change to Kafka as Avro, and keeps ClickHouse tables equal to Postgres.\n\n" +
			"First look: dirtbike demo",
		SilenceErrors: true,
		SilenceUsage:  true,
		// Without a RunE cobra would print the help and succeed, also for a verb that does not exist.
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return wrong(cdc.Failed("%q is no verb of dirtbike", args[0]).Fix("dirtbike --help"))
		},
		Args: cobra.ArbitraryArgs,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "dirtbike.yaml", "config file")
	a.configFlag = flags.Lookup("config")
	flags.StringVar(&a.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&a.logFormat, "log-format", "auto", "console, json, or auto: console on a terminal, json elsewhere")
	flags.StringVar(&a.listen, "listen", "", "address of health and metrics endpoints; overrides ops.listen; port 0 takes a free one and prints it")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return wrong((&cdc.Problem{Cause: err}).Fix("%s --help", c.CommandPath()))
	})
	root.AddCommand(a.demo(), a.init(), a.check(), a.embedded(),
		a.legs("run", "Capture and load in one process", true, true),
		a.legs("capture", "Only capture: Postgres to Kafka", true, false),
		a.legs("load", "Only load: Kafka to ClickHouse; several share the work", false, true),
		a.wait(), a.status(), a.verify(), a.inventory(), a.resnapshot(), a.purge(), a.explain(), a.bench(), a.version())
	for _, verb := range root.Commands() {
		if verb.Args != nil {
			verb.Args = withWayOut(verb.Args)
		}
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// config reads the config file; its errors name file, line and way out.
func (a *app) config() (*config.Config, error) {
	switch a.configFile {
	case "":
		return nil, wrong(cdc.Failed("--config is empty").Fix("--config FILE; dirtbike explain config shows every key"))
	case stream:
		return nil, wrong(cdc.Failed("--config %s is no file", stream).Fix("--config /dev/stdin"))
	}
	c, err := a.loadConfig()
	if errors.Is(err, os.ErrNotExist) {
		err = cdc.Failed("no config file %s", config.Named(a.configFile)).Fix("--config FILE; dirtbike explain config shows every key")
	}
	if err != nil {
		return nil, wrong(err)
	}
	return c, nil
}

// begin reads the config file and makes the logger.
func (a *app) begin() (*config.Config, *zap.Logger, error) {
	c, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	log, err := a.logger()
	return c, log, err
}

// print writes a report for people, or as JSON for programs.
func (a *app) print(asJSON bool, report interface{ WriteText(io.Writer) error }) error {
	if asJSON {
		return console.WriteJSON(a.stdout, report)
	}
	return report.WriteText(typableWriter{a.stdout, a})
}

// loadConfig loads the config file. It may be a pipe whose writer is slow: SIGTERM ends the waiting.
func (a *app) loadConfig() (*config.Config, error) {
	type result struct {
		c   *config.Config
		err error
	}
	loaded := make(chan result, 1)
	go func() {
		c, err := config.Load(a.configFile, func(c *config.Config) {
			if a.listen != "" {
				c.Ops.Listen = a.listen
			}
		})
		loaded <- result{c, err}
	}()
	select {
	case r := <-loaded:
		return r.c, a.ofFlag(r.err)
	case <-a.ending:
	}
	select {
	case r := <-loaded:
		return r.c, r.err
	case <-time.After(endTime):
		return nil, cdc.Failed("the config did not come out of its pipe until SIGTERM").Fix("see what writes it")
	}
}

// ofFlag says that a flag is wrong where it took the place of a setting: to change that in the file would not help.
func (a *app) ofFlag(err error) error {
	var all config.Errors
	if a.listen == "" || !errors.As(err, &all) {
		return err
	}
	for _, e := range all {
		if e.Key == "ops.listen" {
			e.File, e.Line, e.Column, e.Key = "--listen "+a.listen, 0, 0, ""
			e.Try = thisMachine.ReplaceAllString(e.Try, "--listen $1")
		}
	}
	return err
}

// thisMachine is the address at the end of a way out.
var thisMachine = regexp.MustCompile(`"?(127\.0\.0\.1:\d+)"?$`)

// endTime is how long reading the config may still take after SIGTERM.
const endTime = 500 * time.Millisecond

// logger logs to stderr: console on a terminal, JSON elsewhere. Only a terminal gets colours.
func (a *app) logger() (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(a.logLevel)
	if err != nil {
		return nil, wrong(cdc.Failed("--log-level %q is none of debug, info, warn, error", a.logLevel).Fix("--log-level info"))
	}
	file, isFile := a.stderr.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd()))
	if !slices.Contains([]string{"auto", "console", "json"}, a.logFormat) {
		return nil, wrong(cdc.Failed("--log-format %q is none of auto, console, json", a.logFormat).Fix("--log-format json"))
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if a.logFormat == "console" || a.logFormat == "auto" && terminal {
		encoding.EncodeLevel = levelEncoder(terminal)
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(a.stderr)), level)
	return zap.New(newRatedCore(typableCore{core, a})), nil
}

// levelEncoder colours levels on a terminal, unless NO_COLOR says otherwise.
func levelEncoder(terminal bool) zapcore.LevelEncoder {
	if terminal && os.Getenv("NO_COLOR") == "" {
		return zapcore.CapitalColorLevelEncoder
	}
	return zapcore.CapitalLevelEncoder
}
