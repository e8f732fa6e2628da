package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// settle is how long the operator's needs are watched.
const settle = 30 * time.Second

func bootstrap(ctx context.Context, b *bench) error {
	values := map[string]series{}
	const available, ready = "apply → Available", "apply → FailoverReady"
	for run := range b.runs {
		namespace, err := b.namespace(ctx)
		if err != nil {
			return err
		}
		pair := b.Pair(namespace, "shop")
		begin := time.Now()
		if err := pair.Apply(ctx); err != nil {
			return err
		}
		if err := pair.Await(ctx, 5*time.Minute, harness.True(v1alpha1.ConditionAvailable)...); err != nil {
			return err
		}
		values[available] = append(values[available], time.Since(begin))
		if err := pair.AwaitReady(ctx); err != nil {
			return err
		}
		values[ready] = append(values[ready], time.Since(begin))
		if run == b.runs-1 {
			break // the operator is measured with this one
		}
		b.cleanUp()
	}
	printSeries([]string{available, ready}, values)

	fmt.Println("| pairs | memory of the operator | processor time per second |")
	fmt.Println("| --- | --- | --- |")
	if err := b.operatorNeeds(ctx, 1); err != nil || b.pairs == 1 {
		return err
	}
	if err := b.morePairs(ctx); err != nil {
		return err
	}
	return b.operatorNeeds(ctx, b.pairs)
}

// slim is a mysqld of the least memory, and without native AIO, of which a kernel by
// default has enough for 28 mysqlds (fs.aio-max-nr): the operator does not care, and many
// of them have to fit into one machine.
const slim = `
mysql:
  config:
    innodb_buffer_pool_size: 16M
    innodb_use_native_aio: "OFF"
    innodb_log_buffer_size: 1M
    temptable_max_ram: 2M
    max_connections: "40"
    table_open_cache: "200"
    table_definition_cache: "400"
    performance_schema_digests_size: "200"
    performance_schema_error_size: "0"
`

// morePairs makes pairs until there are as many as asked for, a few at a time.
func (b *bench) morePairs(ctx context.Context) error {
	const atOnce = 4
	namespace, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	var batch []*harness.Pair
	for i := 1; i < b.pairs; i++ {
		pair := b.Pair(namespace, fmt.Sprintf("p%d", i))
		if err := pair.Apply(ctx, slim); err != nil {
			return err
		}
		if batch = append(batch, pair); len(batch) < atOnce && i < b.pairs-1 {
			continue
		}
		for _, pair := range batch {
			if err := pair.AwaitReady(ctx); err != nil {
				return err
			}
		}
		batch = nil
	}
	return nil
}

// operatorNeeds reads the leader's process from this machine's own tables, as a kind
// node's processes are visible here.
func (b *bench) operatorNeeds(ctx context.Context, pairs int) error {
	leader, err := b.Leader(ctx)
	if err != nil {
		return err
	}
	pid, err := harness.MainProcess(leader.UID)
	if err != nil {
		return err
	}
	before, err := harness.ReadUsage(pid)
	if err != nil {
		return err
	}
	began := harness.Now()
	if err := pause(ctx, settle); err != nil {
		return err
	}
	after, err := harness.ReadUsage(pid)
	if err != nil {
		return err
	}
	seconds := harness.Now().Sub(began).Seconds()
	fmt.Printf("| %d | %d MiB | %.0f ms |\n", pairs, after.Resident>>20,
		(after.Processor-before.Processor).Seconds()*1000/seconds)
	return nil
}
