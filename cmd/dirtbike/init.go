package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/preflight/draft"
)

func (a *app) init() *cobra.Command {
	var source, out string
	var force bool
	c := &cobra.Command{
		Use: "init --source URL", Short: "List a database's tables, and draft a config that guesses what is private", Args: cobra.NoArgs,
		Long: "init connects to the Postgres database, lists its tables with size, key and replica identity, and writes a commented config: an allowlist that " +
			"names every table and column with a guessed policy. The guesses go by names and types alone, and miss what these do not show: read every line " +
			"before you use the draft. It changes nothing in the database. A password in the URL is not written.",
		RunE: func(c *cobra.Command, _ []string) error {
			if source == "" {
				return wrong(cdc.Failed("--source is missing").Fix("dirtbike init --source postgres://user@host:5432/database"))
			}
			if _, err := os.Lstat(out); err == nil && !force && out != stream {
				return wrong(cdc.Failed("%s is there already, and was left as it is", out).Fix("--out FILE, or --force to replace it"))
			}
			d, err := draft.Make(c.Context(), source)
			if err != nil {
				return verdict(err)
			}
			if out == stream { // the draft alone, so that it can be piped; the rest is for people
				if _, err := io.WriteString(a.stdout, d.Text); err != nil {
					return wrong(err)
				}
				return a.printDraft(a.stderr, d, "the draft to standard output", "FILE")
			}
			if err := draft.Write(out, d.Text, force); err != nil {
				return wrong(cdc.Failed("write %s", out).Because(err).Fix("--out FILE"))
			}
			return a.printDraft(a.stdout, d, out, out)
		},
	}
	flags := c.Flags()
	flags.StringVar(&source, "source", "",
		"address of the database: a postgres:// URL or libpq's key=value form; ${env:NAME} and ${file:PATH} work as in a config")
	flags.StringVar(&out, "out", "dirtbike.yaml", "file to write; - is standard output")
	flags.BoolVar(&force, "force", false, "replace the file if it is there")
	return c
}

// printDraft shows the tables, and what to do next; what was written, and the file that it is, or will be, in.
func (a *app) printDraft(to io.Writer, d *draft.Draft, what, file string) error {
	if err := d.WriteText(to); err != nil {
		return err
	}
	fmt.Fprintf(to, "Wrote %s: %s, each column with a guessed policy. Read it, and fill in the addresses marked CHANGE.\n",
		what, cdc.OfTables(len(d.Tables)-d.Left(), len(d.Tables)))
	if d.Export != "" {
		fmt.Fprintf(to, "The password was not written: the file refers to the environment variable %s. Next: export %[1]s=…\n", d.Export)
	}
	if d.Escaped {
		fmt.Fprintln(to, "In the address the password was percent-encoded; the variable needs it in the same form.")
	}
	fmt.Fprintf(to, "Next: dirtbike check --config %s\n", file)
	return nil
}
