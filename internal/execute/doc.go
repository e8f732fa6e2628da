// Package execute runs one step of a plan: it checks the step's preconditions again,
// causes the effect, and keeps what it learned. It decides nothing.
//
// Every effect is conditional: on a resourceVersion, a UID, or an epoch and ledger
// version. After a refusal or a conflict the pair is observed again; the effect is never repeated blindly.
// Between any two effects stands a failpoint named after the step.
package execute
