package mycnf

import "fmt"

// What mysqld needs beside its buffer pool, in bytes. The figures are those of an idle MySQL
// 9.7 with performance_schema, measured as anonymous memory, with the agent beside it.
const (
	mebibyte = 1 << 20

	serverMemory     = 512 * mebibyte
	connectionMemory = mebibyte / 8
	// applierMemory is what each applier worker of a passive takes from its start on.
	applierMemory = 9 * mebibyte
	// poolChunk is the step in which mysqld sizes the buffer pool, rounding up.
	poolChunk = 128 * mebibyte
	// poolOverhead is the share of the pool, as a divisor, that describing its pages costs.
	poolOverhead = 16

	// limitStep is what the smallest sufficient limit is rounded up to in messages.
	limitStep = 64 * mebibyte
)

const (
	optionPool        = "innodb_buffer_pool_size"
	optionConnections = "max_connections"
	optionAppliers    = "replica_parallel_workers"

	defaultConnections = 500
	// fewestAppliers are mysqld's own default.
	fewestAppliers = 4
	// usefulAppliers are left room for beside the default pool, where there is any: with them a passive keeps up with 16 writers.
	usefulAppliers = 16
)

// budget is what a member needs at most in steady state, in bytes.
type budget struct {
	pool, connections, appliers int64
	// defaultPool: the settings do not name a pool size.
	defaultPool bool
}

func (b budget) total() int64 {
	return serverMemory + b.pool + b.pool/poolOverhead + b.connections*connectionMemory + b.appliers*applierMemory
}

// appliersFor is the default number of applier workers of a container with a memory limit: as many as the rest has room for.
func appliersFor(settings map[string]string, limit int64) int64 {
	need := needOf(settings, limit)
	need.appliers = 0
	return min(max((limit-need.total())/applierMemory, fewestAppliers), applierWorkers)
}

// poolFor is the default buffer pool of a container with a memory limit: at most half of the
// limit, and not more than what mysqld leaves of it; never less than one chunk.
func poolFor(limit, connections int64) int64 {
	left := limit - serverMemory - connections*connectionMemory - usefulAppliers*applierMemory
	left -= left / (poolOverhead + 1)
	return max(min(limit/2, left)/poolChunk, 1) * poolChunk
}

// connectionsIn is max_connections of a user's settings, or the default.
func connectionsIn(settings map[string]string) int64 {
	parsed, _ := parseSettings(settings)
	for _, one := range parsed {
		if value, ok := number(one.value); ok && one.base == optionConnections {
			return int64(value)
		}
	}
	return defaultConnections
}

// CheckMemory refuses settings with which mysqld needs more memory than its container may
// use. limit is the container's, in bytes; 0 stands for none, which fits everything. The
// error has the sum and says what to change. Settings that cannot be read as numbers are
// left to ValidateSettings and to mysqld.
func CheckMemory(settings map[string]string, limit int64) error {
	if _, err := parseSettings(settings); err != nil || limit <= 0 {
		return nil //nolint:nilerr // ValidateSettings reports it
	}
	need := needOf(settings, limit)
	if need.total() <= limit {
		return nil
	}
	fix := fmt.Sprintf("raise the limit to %s", mebibytes(roundUp(need.total(), limitStep)))
	if !need.defaultPool {
		fix += " or lower " + optionPool
	}
	if need.connections > defaultConnections {
		fix += " or lower " + optionConnections
	}
	if need.appliers > fewestAppliers {
		fix += " or lower " + optionAppliers
	}
	return fmt.Errorf("%w: mysqld needs %s: %s itself, %s for %s with its page descriptors, %s for %d connections, "+
		"%s for %d applier workers; the limit is %s: %s",
		ErrMemory, mebibytes(need.total()), mebibytes(serverMemory), mebibytes(need.pool+need.pool/poolOverhead), optionPool,
		mebibytes(need.connections*connectionMemory), need.connections,
		mebibytes(need.appliers*applierMemory), need.appliers, mebibytes(limit), fix)
}

// needOf is what these settings need in a container with this limit: dbpair's defaults for what they leave out, and mysqld's for the
// applier workers. Settings that cannot be read as numbers count as left out.
func needOf(settings map[string]string, limit int64) budget {
	parsed, _ := parseSettings(settings)
	need := budget{
		connections: defaultConnections,
		appliers:    fewestAppliers,
		defaultPool: true,
	}
	for _, one := range parsed {
		value, ok := number(one.value)
		switch {
		case !ok || value <= 0:
		case one.base == optionConnections:
			need.connections = int64(value)
		case one.base == optionAppliers:
			need.appliers = int64(value)
		case one.base == optionPool:
			need.defaultPool = false
			need.pool = chunks(int64(value))
		}
	}
	if need.defaultPool {
		need.pool = poolFor(limit, need.connections)
	}
	return need
}

// chunks is a pool size as mysqld rounds it: one below a chunk stays as it is.
func chunks(size int64) int64 {
	if size <= poolChunk {
		return size
	}
	return roundUp(size, poolChunk)
}

func roundUp(n, step int64) int64 { return (n + step - 1) / step * step }

func mebibytes(n int64) string { return fmt.Sprintf("%dMi", roundUp(n, mebibyte)/mebibyte) }
