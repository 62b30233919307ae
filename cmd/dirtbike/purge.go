package main

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
)

func (a *app) purge() *cobra.Command {
	var confirmed bool
	c := &cobra.Command{
		Use: "purge schema.table --yes", Short: "Delete from a table's topic what was captured before its present copy; without --yes only say what that is",
		Args: cobra.ExactArgs(1),
		Long: "After a policy became stricter and resnapshot has copied the table again, its topic still has the records from before, until Kafka's retention removes them.\n" +
			"purge deletes them (Kafka's DeleteRecords). It refuses while the new copy is not complete, a loader has not passed its beginning, " +
			"or ClickHouse still has former storage.\n" +
			"It cannot be undone. Other readers of the topic, of which dirtbike does not know, lose what they have not read.\n\n" +
			"Exit codes: 0 done, or nothing is left; 1 there are such records, and --yes was not given; 2 it is refused; 3 a part could not be reached.",
		RunE: func(c *cobra.Command, tables []string) error {
			cfg, log, err := a.begin()
			if err != nil {
				return err
			}
			found, err := pipeline.Purge(c.Context(), cfg, log, tables[0], confirmed)
			switch {
			case c.Context().Err() != nil && !confirmed:
				return errInterrupted
			case c.Context().Err() != nil:
				return answerNo(cdc.Failed("interrupted; what Kafka had deleted by then is gone").Fix("the same command again"))
			case err != nil:
				return verdict(err)
			}
			records := humanize.Comma(found.Records)
			switch {
			case found.Records == 0:
				_, err = fmt.Fprintln(a.stdout, a.typable("Topic "+found.Topic+" has nothing from before the present copy, and ClickHouse no former storage."))
				return err
			case !confirmed:
				return answerNo(cdc.Failed("topic %s has %s records from before the present copy of %s, made under the policies of their time", found.Topic, records, found.Table).
					Keeps("Nothing was deleted").Fix("%s --yes, which cannot be undone", cdc.PurgeCommand(found.Table)))
			}
			_, err = fmt.Fprintln(a.stdout, a.typable("Deleted "+records+" records from before the present copy of "+found.Table+" from topic "+found.Topic+
				". Kafka frees the disk segment by segment."))
			return err
		},
	}
	c.Flags().BoolVar(&confirmed, "yes", false, "delete them; this cannot be undone")
	return c
}
