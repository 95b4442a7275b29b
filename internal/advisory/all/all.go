// Package all lists every importer, so that only one place knows them.
package all

import (
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/csaf"
	"github.com/seawall-security/seawall/internal/advisory/debian"
	"github.com/seawall-security/seawall/internal/advisory/epss"
	"github.com/seawall-security/seawall/internal/advisory/friendsofphp"
	"github.com/seawall-security/seawall/internal/advisory/kev"
	"github.com/seawall-security/seawall/internal/advisory/kubernetes"
	"github.com/seawall-security/seawall/internal/advisory/nodecore"
	"github.com/seawall-security/seawall/internal/advisory/osv"
	"github.com/seawall-security/seawall/internal/advisory/retirejs"
	"github.com/seawall-security/seawall/internal/advisory/rubysec"
	"github.com/seawall-security/seawall/internal/advisory/secdb"
	"github.com/seawall-security/seawall/internal/advisory/wolfi"
)

// Importers returns every native format. At most one of them recognizes a file.
func Importers() []advisory.Importer {
	return []advisory.Importer{
		osv.Importer{},
		csaf.Importer{},
		debian.TrackerImporter{},
		debian.ListImporter{},
		secdb.Importer{},
		wolfi.Importer{},
		rubysec.Importer{},
		friendsofphp.Importer{},
		retirejs.Importer{},
		nodecore.Importer{},
		kubernetes.Importer{},
		kev.Importer{},
		epss.Importer{},
	}
}
