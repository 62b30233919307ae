package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/console"
	"dirtbike/config"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use: "explain SLUG|all|config", Short: "Explain a check that a message names, or show every key of the config",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong(cdc.Failed("explain takes one name: of a check, or all, or config").Fix("%s", everyCheck))
			}
			text, err := explanation(args[0], console.Width(a.stdout))
			if err == nil {
				_, err = io.WriteString(a.stdout, text)
			}
			return err
		},
	}
}

const everyCheck = "dirtbike explain all"

// explanation is as wide as the terminal.
func explanation(of string, width int) (string, error) {
	switch of {
	case "config":
		return config.Sample, nil
	case "all":
		var groups []string
		for _, group := range checks.Groups() {
			text := strings.ReplaceAll(group.Title, "`", "") + "\n\n"
			for _, c := range group.Checks {
				text += explainOne(c, width)
			}
			groups = append(groups, text)
		}
		return strings.Join(groups, "\n"), nil
	}
	if c, known := checks.Find(of); known {
		return explainOne(c, width), nil
	}
	var slugs []string
	for _, c := range checks.All() {
		slugs = append(slugs, c.Slug)
	}
	command := everyCheck
	if nearest := config.Nearest(of, slugs); nearest != "" {
		command = "dirtbike explain " + nearest
	}
	return "", wrong(cdc.Failed("%q is no check", of).Fix("%s", command))
}

func explainOne(c checks.Check, width int) string {
	out := c.Slug + "\n"
	for _, paragraph := range []string{c.Meaning, "Safe: " + c.Safe, "Do: " + c.Do} {
		for _, line := range console.Wrap(paragraph, console.Indent, console.Indent, width) {
			out += line + "\n"
		}
	}
	return out
}

// commit is set by the image's build, which has no history to read it from.
var commit string

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version, commit and Go version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return answerNo(fmt.Errorf("this binary was built without version information"))
			}
			revision := cmp.Or(commit, "unknown")
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					revision = s.Value
				}
			}
			_, err := fmt.Fprintf(a.stdout, "dirtbike %s, commit %s, %s\n", info.Main.Version, revision, info.GoVersion)
			return err
		},
	}
}
