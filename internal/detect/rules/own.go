package rules

import _ "embed"

//go:embed own/audit.yaml
var ownAudit []byte

// Own are Seawall's own rule files, by the name they are shown under.
func Own() []File {
	return []File{{Path: "seawall/audit.yaml", Data: ownAudit}}
}
