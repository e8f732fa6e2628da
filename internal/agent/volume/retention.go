package volume

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// Retention is how long the quarantine keeps what is in it: what is older than Time goes, the
// oldest first, as long as all of it takes more than Size.
type Retention struct {
	Time time.Duration
	// Size is a quantity, or a share of the volume in percent.
	Size string
}

// RetentionOf is the retention of a pair. What it does not say has its default.
func RetentionOf(c agentapi.Config) Retention {
	r := Retention{
		Time: c.QuarantineTime,
		Size: c.QuarantineSize,
	}
	if r.Time <= 0 {
		r.Time = agentapi.DefaultQuarantineTime
	}
	if r.Size == "" {
		r.Size = agentapi.DefaultQuarantineSize
	}
	return r
}

// Bytes is the retention's size on the volume of the quarantine.
func (r Retention) Bytes(v *Volume) (int64, error) { return v.Share(r.Size) }

// Share is a size in bytes: of a quantity, such as 10Gi, or of a share of the volume of the binary
// logs, such as 20%. It needs no lock.
func (v *Volume) Share(size string) (int64, error) {
	share, isShare := strings.CutSuffix(size, "%")
	if !isShare {
		quantity, err := resource.ParseQuantity(size)
		if err != nil {
			return 0, fmt.Errorf("size %q is neither a quantity such as 10Gi nor a share such as 20%%: %w", size, err)
		}
		return quantity.Value(), nil
	}
	percent, err := strconv.ParseUint(share, 10, 7)
	if err != nil || percent > 100 {
		return 0, fmt.Errorf("size %q is no share from 0%% to 100%%", size)
	}
	space, err := v.BinlogSpace()
	if err != nil {
		return 0, err
	}
	return space.Total / 100 * int64(percent), nil
}

// Space is the room on a volume, in bytes.
type Space struct {
	Total int64
	Used  int64
	// Free to mysqld: without what the file system keeps for root.
	Free int64
}

// Space measures the volume. It needs no lock.
func (v *Volume) Space() (Space, error) { return spaceOf(v.root) }

// BinlogSpace measures the volume of the binary logs, which may be the same. It needs no lock.
func (v *Volume) BinlogSpace() (Space, error) { return spaceOf(v.BinlogRoot()) }

func spaceOf(root string) (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return Space{}, fmt.Errorf("measure volume %s: %w", root, err)
	}
	return Space{
		Total: int64(fs.Blocks) * fs.Bsize,
		Used:  int64(fs.Blocks-fs.Bfree) * fs.Bsize,
		Free:  int64(fs.Bavail) * fs.Bsize,
	}, nil
}
