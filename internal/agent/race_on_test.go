//go:build race

package agent_test

// raceEnabled: the agent under test is built with the race detector, as the test is.
const raceEnabled = true
