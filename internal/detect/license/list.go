package license

import (
	"strings"
	"sync"
)

// Class is what a licence asks for, in order of obligations. Unknown is most: nobody has read it.
type Class uint8

// The classes.
const (
	Permissive Class = iota
	WeakCopyleft
	StrongCopyleft
	NetworkCopyleft
	Proprietary
	Unknown
)

// String returns the word used in lists and reports.
func (c Class) String() string {
	return [...]string{"permissive", "weak-copyleft", "strong-copyleft", "network-copyleft", "proprietary", "unknown"}[c]
}

// ids are identifiers of the SPDX licence list (https://spdx.org/licenses/) by
// class. GNU licences are listed without -only and -or-later.
var ids = [...]string{
	Permissive: `0BSD AFL-1.1 AFL-1.2 AFL-2.0 AFL-2.1 AFL-3.0 AMDPLPA AML Apache-1.0 Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-1.0-Perl Artistic-1.0-cl8 Artistic-2.0
		BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent BSD-2-Clause-Views BSD-3-Clause BSD-3-Clause-Attribution BSD-3-Clause-Clear BSD-3-Clause-LBNL BSD-3-Clause-Modification
		BSD-4-Clause BSD-4-Clause-UC BSD-4-Clause-Shortened BSD-Source-Code BSL-1.0 BlueOak-1.0.0 Bitstream-Vera CC-BY-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC0-1.0 CC-PDDC
		CECILL-B CNRI-Python CNRI-Python-GPL-Compatible Crossword curl DOC ECL-1.0 ECL-2.0 EFL-1.0 EFL-2.0 Entessa FSFAP FSFUL FSFULLR FTL HPND HPND-sell-variant IBM-pibs ICU IJG
		ImageMagick Info-ZIP Intel ISC JasPer-2.0 JSON Latex2e Leptonica Libpng libpng-2.0 libtiff Linux-OpenIB MIT MIT-0 MIT-CMU MIT-Modern-Variant MIT-advertising MIT-enna MIT-feh
		MITNFA MTLL MulanPSL-1.0 MulanPSL-2.0 Multics NAIST-2003 NCSA NetCDF Net-SNMP NIST-PD NLPL NTP OFL-1.0 OFL-1.1 OLDAP-2.7 OLDAP-2.8 OML OpenSSL PHP-3.0 PHP-3.01 Plexus PostgreSQL
		psutils PSF-2.0 Python-2.0 Python-2.0.1 Qhull Rdisc RSA-MD Ruby SAX-PD SGI-B-2.0 SMLNJ Spencer-86 Spencer-94 SSH-OpenSSH SSH-short SunPro TCL TCP-wrappers TMate TU-Berlin-1.0 UCAR
		Unicode-3.0 Unicode-DFS-2015 Unicode-DFS-2016 Unicode-TOU Unlicense UPL-1.0 Vim W3C W3C-19980720 W3C-20150513 WTFPL X11 X11-distribute-modifications-variant XFree86-1.1 Xerox xinetd
		Zed Zend-2.0 Zlib zlib-acknowledgement ZPL-1.1 ZPL-2.0 ZPL-2.1 bzip2-1.0.6 dtoa blessing snprintf mpich2 gnuplot`,
	WeakCopyleft: `APL-1.0 APSL-1.0 APSL-1.1 APSL-1.2 APSL-2.0 CDDL-1.0 CDDL-1.1 CECILL-C CPL-1.0 EPL-1.0 EPL-2.0 ErlPL-1.1 EUPL-1.0 EUPL-1.1 EUPL-1.2 IPL-1.0 LGPL-2.0 LGPL-2.1 LGPL-3.0 LGPLLR
		LPL-1.0 LPL-1.02 LPPL-1.0 LPPL-1.1 LPPL-1.2 LPPL-1.3a LPPL-1.3c MPL-1.0 MPL-1.1 MPL-2.0 MPL-2.0-no-copyleft-exception MS-PL MS-RL Nokia NPL-1.0 NPL-1.1 OSL-1.0 OSL-1.1 OSL-2.0 OSL-2.1
		QPL-1.0 RPL-1.1 SISSL SPL-1.0 Motosoto wxWindows Sleepycat TORQUE-1.1 Watcom-1.0 CC-BY-SA-2.0 CC-BY-SA-2.5 CC-BY-SA-3.0 CC-BY-SA-4.0`,
	StrongCopyleft:  `GPL-1.0 GPL-2.0 GPL-3.0 CECILL-1.0 CECILL-1.1 CECILL-2.0 CECILL-2.1 GFDL-1.1 GFDL-1.2 GFDL-1.3 OSL-3.0 ODbL-1.0 copyleft-next-0.3.0 copyleft-next-0.3.1 RPL-1.5 SimPL-2.0 NGPL`,
	NetworkCopyleft: `AGPL-1.0 AGPL-3.0 CPAL-1.0 SSPL-1.0 Parity-6.0.0 Parity-7.0.0 Arphic-1999`,
	Proprietary: `BUSL-1.1 Elastic-2.0 CC-BY-NC-1.0 CC-BY-NC-2.0 CC-BY-NC-3.0 CC-BY-NC-4.0 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0 CC-BY-ND-3.0 CC-BY-ND-4.0
		PolyForm-Noncommercial-1.0.0 PolyForm-Small-Business-1.0.0 Aladdin NPOSL-3.0 Hippocratic-2.1`,
}

// names are what package metadata calls licences, in the form of key, and the expression meant.
var names = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"apache": "Apache-2.0", "apache2": "Apache-2.0", "asl": "Apache-2.0", "asl 2.0": "Apache-2.0", "al2": "Apache-2.0", "apachev2": "Apache-2.0", "apache v2": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache version 2.0": "Apache-2.0", "apache-v2": "Apache-2.0",
		"bsd": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "modified bsd": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "bsd3": "BSD-3-Clause", "bsd-3": "BSD-3-Clause", "bsd 3": "BSD-3-Clause", "bsd-new": "BSD-3-Clause", "revised bsd": "BSD-3-Clause",
		"bsd-style": "BSD-3-Clause", "bsd with advertising": "BSD-4-Clause", "simplified bsd": "BSD-2-Clause", "bsd 2-clause": "BSD-2-Clause", "2-clause bsd": "BSD-2-Clause", "bsd-2": "BSD-2-Clause", "bsd2": "BSD-2-Clause", "freebsd": "BSD-2-Clause", "bsd-4": "BSD-4-Clause", "bsd-2-clauses": "BSD-2-Clause", "bsd-3-clauses": "BSD-3-Clause", "bsd 3 clause": "BSD-3-Clause", "bsd 2 clause": "BSD-2-Clause",
		"mit": "MIT", "mit x11": "MIT", "x11": "X11", "expat": "MIT", "mit/x11": "MIT", "mit-style": "MIT", "x11-style": "X11", "isc": "ISC", "iscl": "ISC",
		"gpl": "GPL-1.0-or-later", "gnu gpl": "GPL-1.0-or-later", "gpl-1": "GPL-1.0-only", "gpl-1+": "GPL-1.0-or-later", "gpl+": "GPL-1.0-or-later", "gnu general public": "GPL-1.0-or-later",
		"lgpl": "LGPL-2.0-or-later", "lgpl+": "LGPL-2.0-or-later", "gnu lesser general public": "LGPL-2.0-or-later", "gnu library general public": "LGPL-2.0-or-later", "agpl": "AGPL-3.0-or-later",
		"mpl": "MPL-2.0", "mozilla public": "MPL-2.0", "mpl 1.1": "MPL-1.1", "mpl 2.0": "MPL-2.0", "mplv1.1": "MPL-1.1", "mplv2.0": "MPL-2.0", "mpl2": "MPL-2.0", "mozilla public 2.0": "MPL-2.0", "mozilla public version 2.0": "MPL-2.0",
		"psf": "PSF-2.0", "python": "Python-2.0", "python software foundation": "PSF-2.0", "psfl": "PSF-2.0", "artistic": "Artistic-1.0", "perl": "Artistic-1.0-Perl OR GPL-1.0-or-later", "perl_5": "Artistic-1.0-Perl OR GPL-1.0-or-later", "public domain": "LicenseRef-public-domain", "public-domain": "LicenseRef-public-domain", "pd": "LicenseRef-public-domain",
		"cc0": "CC0-1.0", "cc0 1.0": "CC0-1.0", "unlicense": "Unlicense", "wtfpl": "WTFPL", "wtfpl-2": "WTFPL", "boost": "BSL-1.0", "boost software 1.0": "BSL-1.0", "zlib/libpng": "Zlib", "zlib": "Zlib", "openssl": "OpenSSL", "php": "PHP-3.01", "postgresql": "PostgreSQL", "ruby": "Ruby", "vim": "Vim",
		"epl": "EPL-1.0", "epl 1.0": "EPL-1.0", "epl 2.0": "EPL-2.0", "eclipse public": "EPL-1.0", "eclipse public - v 1.0": "EPL-1.0", "eclipse public - v 2.0": "EPL-2.0", "eclipse public v2.0": "EPL-2.0", "edl 1.0": "BSD-3-Clause", "eclipse distribution - v 1.0": "BSD-3-Clause", "cddl": "CDDL-1.0", "cddl 1.0": "CDDL-1.0", "cddl 1.1": "CDDL-1.1", "lppl": "LPPL-1.3c",
		"zpl 2.1": "ZPL-2.1", "zope public": "ZPL-2.1", "ofl": "OFL-1.1", "sil ofl 1.1": "OFL-1.1", "ftl": "FTL", "ijg": "IJG", "libtiff": "libtiff", "libpng": "Libpng", "w3c": "W3C", "tcl": "TCL", "curl": "curl", "mit-0": "MIT-0", "go": "BSD-3-Clause",
		"unlicensed": "LicenseRef-proprietary", "proprietary": "LicenseRef-proprietary", "commercial": "LicenseRef-proprietary",
		"sspl": "SSPL-1.0", "busl": "BUSL-1.1", "elastic": "Elastic-2.0",
	}
})

// known is every identifier by its lower case.
var known = sync.OnceValue(func() map[string]entry {
	table := map[string]entry{
		"licenseref-public-domain": {"LicenseRef-public-domain", Permissive},
		"licenseref-proprietary":   {"LicenseRef-proprietary", Proprietary},
	}
	for class, list := range ids {
		for id := range strings.FieldsSeq(list) {
			table[strings.ToLower(id)] = entry{id, Class(class)}
			if isGNU(id) {
				for _, suffix := range [...]string{"-only", "-or-later"} {
					table[strings.ToLower(id+suffix)] = entry{id + suffix, Class(class)}
				}
			}
		}
	}
	return table
})

type entry struct {
	id    string
	class Class
}

func isGNU(id string) bool {
	return strings.HasPrefix(id, "GPL-") || strings.HasPrefix(id, "LGPL-") || strings.HasPrefix(id, "AGPL-") || strings.HasPrefix(id, "GFDL-")
}
