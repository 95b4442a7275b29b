package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/detect"
	detectall "github.com/seawall-security/seawall/internal/detect/all"
	"github.com/seawall-security/seawall/internal/detect/content"
	"github.com/seawall-security/seawall/internal/detect/malware"
	"github.com/seawall-security/seawall/internal/detect/secret"
	"github.com/seawall-security/seawall/internal/inventory"
	inventoryall "github.com/seawall-security/seawall/internal/inventory/all"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/seawall"
)

// scannerFlags say what to look for, and with which rules beside our own.
type scannerFlags struct {
	scanners      []string
	secretRules   []string
	yara          []string
	malwareHashes []string
	clamd         string
}

func scannerNames() []string { return []string{"vuln", "secret", "malware"} }

func (f *scannerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.scanners, "scanners", []string{"vuln"}, "what to look for: "+joinWords(scannerNames()))
	flags.StringSliceVar(&f.secretRules, "secret-rules", nil, "further secret rules, in gitleaks' TOML format")
	flags.StringSliceVar(&f.yara, "yara", nil, "further malware rules: YARA files, or directories of them")
	flags.StringSliceVar(&f.malwareHashes, "malware-hashes", nil, "files with SHA-256 digests of malware, one a line")
	flags.StringVar(&f.clamd, "clamd", "", "also ask a ClamAV daemon: the path of its socket, or host:port")
	_ = cmd.RegisterFlagCompletionFunc("scanners", fixedCompletion(scannerNames()...))
}

// complete gives a scan its collectors and detectors, which ask r. Packages are
// always collected: every report lists them. r may be nil where only the rules are of interest.
func (f *scannerFlags) complete(cfg *scan.Config, r *db.Reader) error {
	for _, name := range f.scanners {
		if !slices.Contains(scannerNames(), name) {
			return seawall.WithHint(fmt.Errorf("--scanners %s: no such scanner: %w", name, seawall.ErrUsage), "scanners are "+joinWords(scannerNames()))
		}
	}
	cfg.Collectors = inventoryall.Collectors()
	add := func(c inventory.Collector, d detect.Detector) {
		cfg.Collectors = append(cfg.Collectors, c)
		cfg.Detectors = append(cfg.Detectors, d)
	}
	if slices.Contains(f.scanners, "vuln") {
		cfg.Detectors = detectall.Detectors(r)
	}
	if slices.Contains(f.scanners, "secret") {
		collector, detector, err := secret.New(secret.Options{Rules: f.secretRules})
		if err != nil {
			return err
		}
		add(collector, detector)
	}
	if slices.Contains(f.scanners, "malware") {
		collector, detector, err := malware.New(malware.Options{YARA: f.yara, Hashes: f.malwareHashes, Clamd: f.clamd})
		if err != nil {
			return err
		}
		add(collector, detector)
		add(content.Collector{}, content.Detector{})
	}
	return nil
}
