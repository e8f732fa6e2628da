package agentapi

import (
	"github.com/dbpair/dbpair/internal/pair"
)

// ValidateConfigRequest asks whether the mysqld of the member's image would take settings. It
// changes nothing, on whatever member and in whatever role.
type ValidateConfigRequest struct {
	PairUID pair.UID `json:"pairUID"`
	// Settings are all of spec.mysql.config, option to value.
	Settings map[string]string `json:"settings"`
	// Components and Plugins are all of spec.mysql.components and spec.mysql.plugins, as in
	// Config. An agent of an earlier version passes over them.
	Components []string `json:"components,omitempty"`
	Plugins    []string `json:"plugins,omitempty"`
}

// ValidateConfigReply answers it.
type ValidateConfigReply struct {
	// Problems say what mysqld would not take as it is given; none for settings that are fine.
	Problems []SettingProblem `json:"problems,omitempty"`
}

// SettingProblem is about one setting, or about all of them.
type SettingProblem struct {
	// Option is the setting's name as it was given, or the component or the library; empty when
	// it is not known which it is.
	Option string `json:"option,omitempty"`
	// Field of the spec that has it; spec.mysql.config when empty.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}
