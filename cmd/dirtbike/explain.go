package main

import (
	"io"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/console"
	"dirtbike/config"

	"github.com/spf13/cobra"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use: "explain SLUG|all|config", Short: "Explain a check that a message names, or show every key of the config", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "all":
				return explainAll(a.stdout)
			case "config":
				_, err := io.WriteString(a.stdout, config.Sample)
				return err
			}
			c, known := checks.Find(args[0])
			if !known {
				return wrong(unknownCheck(args[0]))
			}
			return explainOne(a.stdout, c)
		},
	}
}

// unknownCheck proposes the check that was probably meant.
func unknownCheck(slug string) error {
	var slugs []string
	for _, c := range checks.All() {
		slugs = append(slugs, c.Slug)
	}
	command := "dirtbike explain all"
	if nearest := config.Nearest(slug, slugs); nearest != "" {
		command = "dirtbike explain " + nearest
	}
	return cdc.Failed("%q is no check", slug).Fix("%s", command)
}

func explainAll(w io.Writer) error {
	for i, group := range checks.Groups() {
		title := strings.ReplaceAll(group.Title, "`", "") + "\n\n"
		if i > 0 {
			title = "\n" + title
		}
		if _, err := io.WriteString(w, title); err != nil {
			return err
		}
		for _, c := range group.Checks {
			if err := explainOne(w, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// explainOne writes a check's explanation, as wide as the terminal.
func explainOne(w io.Writer, c checks.Check) error {
	out := c.Slug + "\n"
	for _, paragraph := range []string{c.Meaning, "Safe: " + c.Safe, "Do: " + c.Do} {
		for _, line := range console.Wrap(paragraph, console.Indent, console.Indent, console.Width(w)) {
			out += line + "\n"
		}
	}
	_, err := io.WriteString(w, out)
	return err
}
