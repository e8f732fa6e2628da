package mycnf

import "fmt"

// What mysqld needs beside its buffer pool, in bytes. The figures are those of an idle MySQL
// 9.7 with performance_schema, measured as anonymous memory, with the agent beside it.
const (
	mebibyte = 1 << 20

	serverMemory     = 512 * mebibyte
	connectionMemory = mebibyte / 8
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

	defaultConnections = 500
)

// budget is what a member needs at most in steady state, in bytes.
type budget struct {
	pool, connections int64
	// defaultPool: the settings do not name a pool size.
	defaultPool bool
}

func (b budget) total() int64 {
	return serverMemory + b.pool + b.pool/poolOverhead + b.connections*connectionMemory
}

// poolFor is the default buffer pool of a container with a memory limit: at most half of the
// limit, and not more than what mysqld leaves of it; never less than one chunk.
func poolFor(limit, connections int64) int64 {
	left := limit - serverMemory - connections*connectionMemory
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
	parsed, err := parseSettings(settings)
	if err != nil || limit <= 0 {
		return nil //nolint:nilerr // ValidateSettings reports it
	}
	need := budget{connections: defaultConnections, defaultPool: true}
	for _, one := range parsed {
		value, ok := number(one.value)
		switch {
		case !ok || value <= 0:
		case one.base == optionConnections:
			need.connections = int64(value)
		case one.base == optionPool:
			need.defaultPool = false
			need.pool = chunks(int64(value))
		}
	}
	if need.defaultPool {
		need.pool = poolFor(limit, need.connections)
	}
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
	return fmt.Errorf("%w: mysqld needs %s: %s itself, %s for %s with its page descriptors, %s for %d connections; the limit is %s: %s",
		ErrMemory, mebibytes(need.total()), mebibytes(serverMemory), mebibytes(need.pool+need.pool/poolOverhead), optionPool,
		mebibytes(need.connections*connectionMemory), need.connections, mebibytes(limit), fix)
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
