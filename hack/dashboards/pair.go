package main

import "fmt"

// pair shows one pair: what clients notice first, then why.
func pair() dashboard {
	variables := []variable{
		labelVariable("namespace", "Namespace", "dbpair_pair_epoch"),
		labelVariable("pair", "Pair", `dbpair_pair_epoch{namespace="$namespace"}`),
	}
	var panels []panel
	for _, part := range [][]panel{overview(), replication(), clients(), volumes(), changes(), care()} {
		panels = append(panels, part...)
	}
	return newDashboard("dbpair-pair", "dbpair: one pair", "One pair: who is primary, what clients notice, and why.", variables, panels...)
}

// of selects a metric of the chosen pair; more are further matchers.
func of(metric, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`%s{namespace="$namespace",pair="$pair"%s}`, metric, more)
}

// byMember is a metric of each member, whichever operator or agent it comes from.
func byMember(metric string) query {
	return query{fmt.Sprintf(`max by (member) (%s)`, of(metric, "")), `{{member}}`}
}

// named is byMember, for panels with several metrics.
func named(metric, name string) query {
	q := byMember(metric)
	q.legend += " " + name
	return q
}

// byVolume is a figure of each volume: a member with spec.storage.binlog has two.
func byVolume(metric, name string) query {
	return query{fmt.Sprintf(`max by (member, volume) (%s)`, of(metric, "")), `{{member}} {{volume}} ` + name}
}

// grown is how much counters have grown, by some of their labels.
func grown(metric, labels, legend string) query {
	return query{fmt.Sprintf(`sum by (%s) (increase(%s[$__rate_interval]))`, labels, of(metric, "")), legend}
}

func isTrue(condition string) string {
	return fmt.Sprintf(`max(%s)`, of("dbpair_pair_condition", fmt.Sprintf(`condition="%s",status="True"`, condition)))
}

// age is the time since an instant that a metric names.
func age(metric string) string { return fmt.Sprintf(`time() - max(%s)`, of(metric, "")) }

func overview() []panel {
	return []panel{
		number("Clients can write", "bool_yes_no", 0, isTrue("Available")),
		number("Passive could take over", "bool_yes_no", 0, isTrue("FailoverReady")),
		number("In doubt", "bool_yes_no", 1, isTrue("InDoubt")),
		number("Epoch", "", 0, fmt.Sprintf(`max(%s)`, of("dbpair_pair_epoch", ""))),
		number("Volume full in", "d", 0, fmt.Sprintf(`min(%s)`, of("dbpair_agent_volume_full_days", ""))),
		number("Last backup", "s", 0, age("dbpair_backup_last_success_timestamp_seconds")),
		states("Role", half, "open for writes", "closed", byMember("dbpair_member_open")),
		states("Conditions", half, "True", "not True", query{
			fmt.Sprintf(`max by (condition) (%s)`, of("dbpair_pair_condition", `status="True"`)), `{{condition}}`,
		}),
	}
}

func replication() []panel {
	return []panel{
		row("Replication"),
		graph("Lag", "s", third, byMember("dbpair_agent_replication_lag_seconds")),
		graph("Received and not applied", "", third, byMember("dbpair_agent_replication_lag_transactions")),
		graph("Commits that wait for the passive", "", third, byMember("dbpair_agent_waiting_sessions")),
		graph("Longest wait of a commit", "s", third, byMember("dbpair_agent_oldest_wait_seconds")),
		graph("Silence between the members", "s", third,
			named("dbpair_agent_peer_silent_seconds", "peer's agent"), named("dbpair_agent_confirmation_age_seconds", "confirmation")),
		states("Reached by the operator", third, "reached", "silent", byMember("dbpair_member_reachable")),
	}
}

func clients() []panel {
	return []panel{
		row("Clients"),
		graph("Connections through the door", "", third, named("dbpair_agent_door_relayed", "relayed"), named("dbpair_agent_door_held", "held")),
		graph("Clients whose holding ended", "", third, grown("dbpair_agent_door_held_total", "outcome", `{{outcome}}`),
			query{fmt.Sprintf(`sum(increase(%s[$__rate_interval]))`, of("dbpair_agent_door_refused_total", "")), `turned away`}),
		graph("How long clients were held", "s", third, holdTime(0.5, `median`), holdTime(0.99, `99 %`)),
	}
}

func holdTime(quantile float64, legend string) query {
	return query{fmt.Sprintf(`histogram_quantile(%g, sum by (le) (rate(%s[$__rate_interval])))`,
		quantile, of("dbpair_agent_door_hold_seconds_bucket", "")), legend}
}

func volumes() []panel {
	return []panel{
		row("Members"),
		graph("Volumes", "bytes", third, byVolume("dbpair_agent_volume_used_bytes", "used"), byVolume("dbpair_agent_volume_free_bytes", "free")),
		graph("Ends of mysqld", "", third, grown("dbpair_agent_mysqld_exits_total", "member", `{{member}}`)),
		graph("External changes that were corrected", "", third,
			grown("dbpair_agent_read_only_corrections_total", "member", `{{member}} read-only`),
			grown("dbpair_agent_setting_corrections_total", "member", `{{member}} settings`),
			grown("dbpair_agent_waiting_interruptions_total", "member", `{{member}} semi-sync`)),
	}
}

func changes() []panel {
	return []panel{
		row("Changes of primary"),
		graph("Failovers and switchovers", "", third, grown("dbpair_role_changes_total", "trigger, result", `{{trigger}} {{result}}`)),
		graph("Sessions in switchovers", "", third, grown("dbpair_drained_sessions_total", "outcome", `{{outcome}}`)),
		graph("Write gap of the last drill", "s", third,
			query{fmt.Sprintf(`max(%s)`, of("dbpair_drill_last_write_gap_seconds", "")), `write gap`}),
	}
}

func care() []panel {
	return []panel{
		row("Operations, backups and comparisons"),
		graph("Operations that ended", "", third, grown("dbpair_operations_total", "type, phase", `{{type}} {{phase}}`)),
		graph("Age of the last success", "s", third,
			query{age("dbpair_backup_last_success_timestamp_seconds"), `backup`},
			query{age("dbpair_checksum_last_success_timestamp_seconds"), `comparison`},
			query{age("dbpair_drill_last_timestamp_seconds"), `drill`}),
		graph("Duration of the last", "s", third,
			query{fmt.Sprintf(`max(%s)`, of("dbpair_backup_duration_seconds", "")), `backup`},
			query{fmt.Sprintf(`max(%s)`, of("dbpair_checksum_duration_seconds", "")), `comparison`}),
		graph("Size of the last backup", "bytes", third,
			query{fmt.Sprintf(`max(%s)`, of("dbpair_backup_stored_bytes", "")), `stored`}),
		graph("Backups stored", "", third, query{fmt.Sprintf(`max(%s)`, of("dbpair_backups_stored", "")), `complete`}),
		graph("Differences between the members", "", third,
			query{fmt.Sprintf(`max(%s)`, of("dbpair_drift_rows", "")), `rows`},
			query{fmt.Sprintf(`max(%s)`, of("dbpair_drift_definitions", "")), `definitions and accounts`}),
	}
}
