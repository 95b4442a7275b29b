package osv

import "github.com/seawall-security/seawall/internal/advisory/document"

// entry is an OSV document as far as it is read (https://ossf.github.io/osv-schema/).
// Fields whose type differs between databases are loosely typed.
type entry struct {
	ID         string         `json:"id" yaml:"id"`
	Modified   document.Word  `json:"modified" yaml:"modified"`
	Published  document.Word  `json:"published" yaml:"published"`
	Withdrawn  document.Word  `json:"withdrawn" yaml:"withdrawn"`
	Aliases    document.Words `json:"aliases" yaml:"aliases"`
	Upstream   document.Words `json:"upstream" yaml:"upstream"`
	Related    document.Words `json:"related" yaml:"related"`
	Summary    document.Word  `json:"summary" yaml:"summary"`
	Severity   []severity     `json:"severity" yaml:"severity"`
	Affected   []affected     `json:"affected" yaml:"affected"`
	References []struct {
		URL document.Word `json:"url" yaml:"url"`
	} `json:"references" yaml:"references"`
	Database specific `json:"database_specific" yaml:"database_specific"`
}

type severity struct {
	Type  document.Word `json:"type" yaml:"type"`
	Score document.Word `json:"score" yaml:"score"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem" yaml:"ecosystem"`
		Name      string `json:"name" yaml:"name"`
	} `json:"package" yaml:"package"`
	Severity  []severity     `json:"severity" yaml:"severity"`
	Ranges    []versionRange `json:"ranges" yaml:"ranges"`
	Versions  document.Words `json:"versions" yaml:"versions"`
	Ecosystem specific       `json:"ecosystem_specific" yaml:"ecosystem_specific"`
	Database  specific       `json:"database_specific" yaml:"database_specific"`
}

type versionRange struct {
	Type   string  `json:"type" yaml:"type"`
	Events []event `json:"events" yaml:"events"`
}

type event struct {
	Introduced   document.Word `json:"introduced" yaml:"introduced"`
	Fixed        document.Word `json:"fixed" yaml:"fixed"`
	LastAffected document.Word `json:"last_affected" yaml:"last_affected"`
	Limit        document.Word `json:"limit" yaml:"limit"`
}

// specific holds what databases put beside the schema: GitHub's severity and
// CWEs, Debian's urgency, RustSec's informational mark, Go's imports, Ubuntu's priority.
type specific struct {
	Severity      document.Word           `json:"severity" yaml:"severity"`
	Urgency       document.Word           `json:"urgency" yaml:"urgency"`
	Priority      document.Word           `json:"ubuntu_priority" yaml:"ubuntu_priority"`
	CWEs          document.Words          `json:"cwe_ids" yaml:"cwe_ids"`
	Informational document.Word           `json:"informational" yaml:"informational"`
	Imports       document.List[goImport] `json:"imports" yaml:"imports"`
	Seawall       *extension              `json:"seawall" yaml:"-"`
}

type goImport struct {
	Path    document.Word  `json:"path" yaml:"path"`
	Symbols document.Words `json:"symbols" yaml:"symbols"`
}
