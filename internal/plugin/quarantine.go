package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
)

const quarantineLong = `Show what a member has given up and saved on its volume: the binary logs of data that was replaced by a copy, tails
that were cut off, relay logs that a forced promotion discarded, and rows that a repair wrote over.

Without a MEMBER the entries of both members are listed, without an ENTRY those of one, with what of each the primary
lacks now. With an ENTRY its transactions are
shown: GTID, time, and the rows that were changed by table; with --rows also the rows, as SQL comments. --extract copies the
files of an entry to a directory of this machine and verifies their sizes and checksums.

It only reads. It works whether mysqld runs or not, as long as the member's container does.`

// quarantineRequest is what the caller of quarantine gave.
type quarantineRequest struct {
	pair, member, entry string
	format              string
	// gtids restricts what is shown; limit and maxRows bound it.
	gtids          string
	limit, maxRows int64
	rows           bool
	// extract is a directory.
	extract string
}

func (s *session) quarantineCommand() *cobra.Command {
	var r quarantineRequest
	cmd := &cobra.Command{
		Use:     "quarantine PAIR [MEMBER [ENTRY]]",
		GroupID: "look",
		Short:   "Show what members have given up: list it, show its transactions, extract its files",
		Long:    quarantineLong,
		Example: "  kubectl dbpair quarantine shop\n  kubectl dbpair quarantine shop shop-1 ENTRY --rows\n" +
			"  kubectl dbpair quarantine shop shop-1 ENTRY --extract ./saved",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 3 {
				return errors.New("name the pair, then if wanted a member and one of its entries, as in: kubectl dbpair quarantine shop shop-1")
			}
			return quarantineFlags(cmd, len(args) == 3)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			r.pair = args[0]
			if len(args) > 1 {
				r.member = args[1]
			}
			if len(args) > 2 {
				r.entry = args[2]
			}
			return s.quarantine(cmd.Context(), c, r)
		},
	}
	cmd.Flags().StringVarP(&r.format, "output", "o", "", "json or yaml instead of text, for the list")
	cmd.Flags().StringVar(&r.gtids, "gtids", "", "show only these transactions of the entry, a GTID set")
	cmd.Flags().Int64Var(&r.limit, "limit", 1000, "show so many transactions at most, 0 for all; all are counted")
	cmd.Flags().BoolVar(&r.rows, "rows", false, "show the rows that were changed, as SQL comments")
	cmd.Flags().Int64Var(&r.maxRows, "max-rows", 1000, "with --rows: so many at most, up to 10000")
	cmd.Flags().StringVar(&r.extract, "extract", "", "copy the entry's files to this directory, which must not have files of these names")
	return cmd
}

// quarantineFlags refuses flags that have no meaning for what was asked.
func quarantineFlags(cmd *cobra.Command, entry bool) error {
	changed := cmd.Flags().Changed
	for _, flag := range []string{"gtids", "limit", "rows", "max-rows", "extract"} {
		switch {
		case changed(flag) && !entry:
			return fmt.Errorf("--%s is about one entry: name the pair, the member and the entry", flag)
		case changed(flag) && flag != "extract" && changed("extract"):
			return fmt.Errorf("--extract copies whole files: leave out --%s", flag)
		}
	}
	if entry && changed("output") {
		return errors.New("-o is for the list of entries: leave it out, or leave out the entry")
	}
	if changed("max-rows") && !changed("rows") {
		return errors.New("--max-rows bounds what --rows shows: add --rows")
	}
	return nil
}

func (s *session) quarantine(ctx context.Context, c cluster, r quarantineRequest) error {
	if err := knownFormat(r.format); err != nil {
		return err
	}
	p, err := c.pair(ctx, r.pair)
	if err != nil {
		return err
	}
	members := pair.Members(p.Name)
	asked := []string{string(members[0]), string(members[1])}
	if r.member != "" {
		if !slices.Contains(asked, r.member) {
			return fmt.Errorf("%q is no member of pair %q: its members are %s and %s", r.member, p.Name, members[0], members[1])
		}
		asked = []string{r.member}
	}
	switch {
	case r.entry == "":
		return s.listQuarantine(ctx, c, p, asked, r.format)
	case r.extract != "":
		return s.extractQuarantine(ctx, c, r)
	default:
		return s.showQuarantine(ctx, c, r)
	}
}

// QuarantineReport is the quarantine of one member.
type QuarantineReport struct {
	Member string `json:"member"`
	// Asked says why the agent did not answer; empty when it did.
	Asked string `json:"agentError,omitempty"`
	// Lacking is, by entry, what of it the primary has not executed; absent while that is not
	// known.
	Lacking map[string]string `json:"lacking,omitempty"`

	agentapi.QuarantineList `json:",inline"`
}

func (s *session) listQuarantine(ctx context.Context, c cluster, p *v1alpha1.DatabasePair, members []string, format string) error {
	reports := make([]QuarantineReport, len(members))
	primary := MemberReport{MemberStatus: v1alpha1.MemberStatus{Name: p.Status.Primary}}
	var asked sync.WaitGroup
	if primary.Name != "" {
		asked.Go(func() { c.ask(ctx, &primary) })
	}
	for i, member := range members {
		reports[i].Member = member
		asked.Go(func() {
			if err := c.askQuarantine(ctx, member, &reports[i].QuarantineList, "list"); err != nil {
				reports[i].Asked = err.Error()
			}
		})
	}
	asked.Wait()
	for i := range reports {
		reports[i].Lacking = lackingIn(reports[i].Entries, primary.Executed)
	}
	var err error
	if format != "" {
		err = encode(s.streams.Out, format, reports)
	} else {
		_, err = io.WriteString(s.streams.Out, quarantineText(reports))
	}
	for _, report := range reports {
		if report.Asked != "" {
			err = errors.Join(err, errors.New(report.Asked))
		}
	}
	return err
}

// lackingIn compares entries with what the primary has executed; empty for not known.
func lackingIn(entries []agentapi.QuarantineEntry, executed string) map[string]string {
	has, err := gtid.Parse(executed)
	if err != nil || has.IsEmpty() {
		return nil
	}
	lacking := map[string]string{}
	for _, entry := range entries {
		if set, err := gtid.Parse(entry.GTIDs); err == nil && !set.IsEmpty() {
			lacking[entry.Name] = set.Subtract(has).String()
		}
	}
	return lacking
}

func quarantineText(reports []QuarantineReport) string {
	var b strings.Builder
	for _, report := range reports {
		switch {
		case report.Asked != "":
			continue // it is the error that the command ends with
		case len(report.Entries) == 0:
			fmt.Fprintf(&b, "%s: nothing is in quarantine\n", report.Member)
			continue
		}
		fmt.Fprintf(&b, "%s: %s in quarantine; above %s the oldest that may be removed are\n",
			report.Member, sizeText(report.Bytes), sizeText(report.Limit))
		rows := [][]string{{"  ENTRY", "WHY", "SAVED", "FILES", "SIZE", "STAYS", "GTIDS"}}
		for _, entry := range report.Entries {
			rows = append(rows, []string{
				"  " + printable(entry.Name),
				whyText(entry),
				entry.SavedAt.UTC().Format(time.RFC3339),
				fmt.Sprint(len(entry.Files)),
				sizeText(entry.Bytes),
				staysText(entry),
				dash(printable(entry.GTIDs)),
			})
		}
		table(&b, rows)
		for _, entry := range report.Entries {
			switch lacking, known := report.Lacking[entry.Name]; {
			case known && lacking == "":
				fmt.Fprintf(&b, "  %s: the primary has all of these transactions\n", printable(entry.Name))
			case known:
				fmt.Fprintf(&b, "  %s: the primary lacks %s\n", printable(entry.Name), lacking)
			}
			if entry.Problem != "" {
				fmt.Fprintf(&b, "  %s: %s\n", printable(entry.Name), printable(entry.Problem))
			}
		}
	}
	return b.String()
}

func whyText(entry agentapi.QuarantineEntry) string {
	by := ""
	if entry.Operation != "" {
		by = " (" + printable(entry.Operation) + ")"
	}
	switch entry.Kind {
	case agentapi.QuarantineData:
		return "given up for a copy" + by
	case agentapi.QuarantineTail:
		return "cut off by a rewind" + by
	case agentapi.QuarantineRelayLog:
		return "discarded by a forced promotion" + by
	case agentapi.QuarantineRepair:
		return "written over by a repair" + by
	case agentapi.QuarantineUnfinished:
		return "left of a copy that a crash ended" + by
	case agentapi.QuarantineOther:
		return "not made by dbpair" + by
	default:
		return printable(string(entry.Kind)) + by
	}
}

func staysText(entry agentapi.QuarantineEntry) string {
	if entry.Kept {
		return "always, it is marked"
	}
	return "at least until " + entry.RemovableFrom.UTC().Format(time.DateOnly)
}

// askQuarantine runs "agent quarantine" in the member's pod and decodes what it prints.
func (c cluster) askQuarantine(ctx context.Context, member string, into any, args ...string) error {
	text, err := output(ctx, c.execer, quarantineOf(c, member, args...))
	if err != nil {
		return quarantineError(member, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: what its agent printed is not JSON: %w", member, err)
	}
	return nil
}

func quarantineOf(c cluster, member string, args ...string) podCommand {
	return podCommand{
		namespace: c.namespace,
		pod:       member,
		argv:      append([]string{agentapi.BinDir + "/agent", "quarantine"}, args...),
	}
}

// quarantineError says of an agent of before this command what it is.
func quarantineError(member string, err error) error {
	if text := err.Error(); strings.Contains(text, "usage: agent run") && !strings.Contains(text, "quarantine") {
		return fmt.Errorf("%s: its agent is older than this command: "+
			"restart the member with the operator's image (kubectl dbpair restart)", member)
	}
	return fmt.Errorf("%s: read its quarantine: %w", member, err)
}
