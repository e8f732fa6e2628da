package agent

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
)

// zoneinfo is the directory of the system's time zones, in any image that has them.
const zoneinfo = "/usr/share/zoneinfo"

// timeZoneTool comes with mysqld and turns that directory into SQL.
const timeZoneTool = "mysql_tzinfo_to_sql"

// timeZoneToolTimeout bounds a program that reads some thousand small files.
const timeZoneToolTimeout = time.Minute

// timeZones are those of the image.
type timeZones struct {
	log    logr.Logger
	mysqld string // the program
}

// zoneLoader is what the time zones need of a mysqld on new data.
type zoneLoader interface {
	zoneServer
	LoadTimeZones(ctx context.Context, script string) error
}

// load fills the tables of time zones of data that is being made, from what the
// image has. Without them a default_time_zone with a name keeps mysqld from starting, so the
// setting is tried here, where it can still be refused; zone is empty without one. An image that lacks the zones or the
// tool makes data without them.
func (z *timeZones) load(ctx context.Context, ops zoneLoader, zone string) error {
	script, err := z.script(ctx)
	if err == nil {
		started := time.Now()
		if err := ops.LoadTimeZones(ctx, script); err != nil {
			return err
		}
		z.log.Info("time zones loaded", "took", time.Since(started))
	} else {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		z.log.Info("the tables of time zones stay empty: the image does not have them", "reason", err.Error())
	}
	if zone == "" {
		return nil
	}
	if err := ops.CheckTimeZone(ctx, zone); err != nil {
		return configError{fmt.Errorf("spec.mysql.config: \"default_time_zone\": %w; correct the name, or write an offset such as +01:00", err)}
	}
	return nil
}

// script is what the tool prints. It is looked for where mysqld was found, too.
func (z *timeZones) script(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeZoneToolTimeout)
	defer cancel()
	tool, err := exec.LookPath(timeZoneTool)
	if err != nil {
		mysqld, lookErr := exec.LookPath(z.mysqld)
		if lookErr != nil {
			return "", err
		}
		tool = filepath.Join(filepath.Dir(mysqld), timeZoneTool)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, tool, zoneinfo)
	cmd.Stdout = &out
	if err := process.Run(cmd); err != nil {
		return "", fmt.Errorf("%s %s: %w", timeZoneTool, zoneinfo, err)
	}
	return out.String(), nil
}
