package main

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
)

func (a *app) purge() *cobra.Command {
	var confirmed, despite bool
	c := &cobra.Command{
		Use: "purge schema.table --yes", Short: "Delete from a table's topic what was captured before its present copy; without --yes only say what that is",
		Args: cobra.ExactArgs(1),
		Long: "After a policy became stricter and resnapshot has copied the table again, its topic still has the records from before, until Kafka's retention removes them.\n" +
			"purge deletes them (Kafka's DeleteRecords). It refuses while the present copy was made under another policy than the config's, the new copy is not complete, " +
			"a loader has not passed its beginning, or ClickHouse still has former storage.\n" +
			"It refuses, too, while another consumer group (of another ClickHouse database, or anybody's) has not passed them, unless with --despite-readers.\n" +
			"It cannot be undone. Only readers in consumer groups are known. " +
			"Those that keep their places themselves, as Flink and Spark do, or are not running and have committed nothing, " +
			"lose what they have not read: look at them before you give --yes.\n\n" +
			"Exit codes: 0 done, or nothing is left; 1 there are such records, and --yes was not given; 2 it is refused; 3 a part could not be reached.",
		RunE: func(c *cobra.Command, tables []string) error {
			cfg, log, err := a.begin()
			if err != nil {
				return err
			}
			found, err := pipeline.Purge(c.Context(), cfg, log, tables[0], confirmed, despite)
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
				return answerNo(cdc.Failed("topic %s has about %s records from before the present copy of %s, written under the policies that applied then%s; %s",
					found.Topic, records, found.Table, unpassed(found.Readers), unseen).
					Keeps("Nothing was deleted").Fix("%s --yes, which cannot be undone", cdc.PurgeCommand(found.Table)))
			}
			_, err = fmt.Fprintln(a.stdout, a.typable("Deleted about "+records+" records from before the present copy of "+found.Table+" from topic "+found.Topic+
				". Kafka frees the disk segment by segment. Note that "+unseen+"."))
			return err
		},
	}
	c.Flags().BoolVar(&confirmed, "yes", false, "delete them; this cannot be undone")
	c.Flags().BoolVar(&despite, "despite-readers", false, "delete also what other consumer groups have not read, which they lose")
	return c
}

// unseen says of whom purge knows nothing, before and after it deletes.
const unseen = "readers that keep their places themselves, as Flink and Spark do, are not known to Kafka, and lose what they have not read"

// unpassed names the other readers that have not passed what would be deleted; empty if there are none.
func unpassed(readers []pipeline.Reader) string {
	if len(readers) == 0 {
		return ""
	}
	names := make([]string, len(readers))
	for i, r := range readers {
		names[i] = r.String()
	}
	return "; other groups have not passed them: " + cdc.Few(names)
}
