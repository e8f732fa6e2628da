package plugin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// formatWide is text with what does not fit into a line of 80 columns.
const formatWide = "wide"

// watchEvery is the time between two looks of --watch.
const watchEvery = 2 * time.Second

func (s *session) statusCommand() *cobra.Command {
	var watch bool
	var format string
	cmd := &cobra.Command{
		Use:     "status PAIR",
		GroupID: "look",
		Short:   "Show whether clients can write, whether a failover would work, what is wrong and what to type",
		Example: "  kubectl dbpair status shop\n  kubectl dbpair status shop --watch\n" +
			"  kubectl dbpair status shop -o wide\n  kubectl dbpair status shop -o json",
		Args: onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			if !watch {
				return s.showOnce(cmd.Context(), c, args[0], format)
			}
			if format != "" && format != formatWide {
				return fmt.Errorf("--watch has no -o %s: use `kubectl get dbp %s -w -o %s`", format, args[0], format)
			}
			return s.watch(cmd.Context(), c, args[0], format == formatWide)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "look again every 2 seconds until interrupted")
	cmd.Flags().StringVarP(&format, "output", "o", "", "json or yaml instead of text; wide for text with GTIDs")
	return cmd
}

// onePair accepts exactly the name of a pair.
func onePair(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one pair: `kubectl get dbp` lists them")
	}
	return nil
}

func (s *session) showOnce(ctx context.Context, c cluster, name, format string) error {
	wide := format == formatWide
	if wide {
		format = ""
	}
	if knownFormat(format) != nil {
		return fmt.Errorf("-o %s is unknown: use json, yaml or wide", format)
	}
	r, err := c.report(ctx, name)
	if err != nil {
		return err
	}
	if format != "" {
		return encode(s.streams.Out, format, r)
	}
	return render(s.streams.Out, r, paint(isTerminal(s.streams.Out)), wide)
}

// watch prints the status again whenever it may have changed, until ctx ends.
func (s *session) watch(ctx context.Context, c cluster, name string, wide bool) error {
	terminal := isTerminal(s.streams.Out)
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for {
		r, err := c.report(ctx, name)
		if ctx.Err() != nil {
			return nil
		}
		if terminal {
			// Home, then clear to the end: no flicker.
			if _, err := io.WriteString(s.streams.Out, "\x1b[H\x1b[J"); err != nil {
				return err
			}
		}
		if err != nil {
			// The API server may be away for a while; that is what is watched for.
			_, _ = fmt.Fprintln(s.streams.ErrOut, "Error:", err)
		} else if err := render(s.streams.Out, r, paint(terminal), wide); err != nil {
			return err
		}
		if !terminal {
			_, _ = fmt.Fprintln(s.streams.Out, "---")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}
