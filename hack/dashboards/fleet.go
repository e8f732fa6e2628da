package main

// fleet shows all pairs that Prometheus knows, and the operator.
func fleet() dashboard {
	const free = `min by (namespace, pair, member, volume) (` +
		`dbpair_agent_volume_free_bytes / (dbpair_agent_volume_free_bytes + dbpair_agent_volume_used_bytes))`
	return newDashboard("dbpair-fleet", "dbpair: all pairs", "What needs a person, across all pairs, and the operator.", nil,
		number("Pairs", "", 0, `count(max by (namespace, pair) (dbpair_pair_epoch)) or vector(0)`),
		number("Ready", "", 0, `sum(max by (namespace, pair) (dbpair_pair_condition{condition="Ready",status="True"})) or vector(0)`),
		number("Clients cannot write", "", 1, without("Available")),
		number("Passive could not take over", "", 1, without("FailoverReady")),
		number("In doubt", "", 1,
			`count(max by (namespace, pair) (dbpair_pair_condition{condition="InDoubt",status="True"}) == 1) or vector(0)`),
		number("Members not reached", "", 1,
			`count(max by (namespace, pair, member) (dbpair_member_reachable) == 0) or vector(0)`),
		list("Conditions that are not True", half,
			`max by (namespace, pair, condition) (dbpair_pair_condition{`+
				`condition=~"Ready|Available|Replicating|FailoverReady|Consistent|BackedUp",status="True"}) == 0`),
		graph("Furthest behind", "s", half,
			query{`topk(10, max by (namespace, pair, member) (dbpair_member_lag_seconds))`, `{{namespace}}/{{member}}`}),
		row("Changes of primary"),
		graph("Failovers and switchovers", "", third,
			query{`sum by (trigger, result) (increase(dbpair_role_changes_total[$__rate_interval]))`, `{{trigger}} {{result}}`}),
		graph("Write gap", "s", third,
			query{`histogram_quantile(0.5, sum by (le) (increase(dbpair_write_gap_seconds_bucket[1h])))`, `median`},
			query{`histogram_quantile(0.99, sum by (le) (increase(dbpair_write_gap_seconds_bucket[1h])))`, `99 %`}),
		graph("Operations that ended", "", third,
			query{`sum by (type, phase) (increase(dbpair_operations_total[$__rate_interval]))`, `{{type}} {{phase}}`}),
		row("Members"),
		graph("Least room", "percentunit", third, query{`bottomk(10, ` + free + `)`, `{{namespace}}/{{member}} {{volume}}`}),
		graph("Longest wait of a commit", "s", third,
			query{`topk(10, max by (namespace, pair, member) (dbpair_agent_oldest_wait_seconds))`, `{{namespace}}/{{member}}`}),
		graph("Age of the last backup", "s", third,
			query{`topk(10, time() - max by (namespace, pair) (dbpair_backup_last_success_timestamp_seconds))`, `{{namespace}}/{{pair}}`}),
		row("Operator"),
		graph("Reconciliations", "ops", third,
			query{`sum by (controller, result) (rate(controller_runtime_reconcile_total[$__rate_interval]))`, `{{controller}} {{result}}`}),
		graph("Steps that failed", "", third,
			query{`sum by (step, rule) (increase(dbpair_steps_total{outcome="error"}[$__rate_interval]))`, `{{step}} {{rule}}`}),
		graph("Requests to the API server", "reqps", third,
			query{`sum by (method, code) (rate(rest_client_requests_total{job=~".*-manager-metrics"}[$__rate_interval]))`, `{{method}} {{code}}`}),
		graph("Duration of a reconciliation, 99 %", "s", third,
			query{`histogram_quantile(0.99, sum by (le, controller) (rate(controller_runtime_reconcile_time_seconds_bucket[$__rate_interval])))`,
				`{{controller}}`}),
		graph("Memory", "bytes", third,
			query{`max by (pod) (process_resident_memory_bytes{job=~".*-manager-metrics"})`, `{{pod}}`}),
		graph("Processor", "cores", third,
			query{`max by (pod) (rate(process_cpu_seconds_total{job=~".*-manager-metrics"}[$__rate_interval]))`, `{{pod}}`}),
	)
}

// without counts the pairs whose condition is not True.
func without(condition string) string {
	return `count(max by (namespace, pair) (dbpair_pair_condition{condition="` + condition + `",status="True"}) == 0) or vector(0)`
}
