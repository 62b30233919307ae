package main

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

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
