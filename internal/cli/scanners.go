package cli

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/detect"
	detectall "github.com/seawall-security/seawall/internal/detect/all"
	"github.com/seawall-security/seawall/internal/detect/content"
	"github.com/seawall-security/seawall/internal/detect/license"
	"github.com/seawall-security/seawall/internal/detect/malware"
	"github.com/seawall-security/seawall/internal/detect/misconfig/docker"
	"github.com/seawall-security/seawall/internal/detect/misconfig/dockerfile"
	"github.com/seawall-security/seawall/internal/detect/misconfig/host"
	"github.com/seawall-security/seawall/internal/detect/misconfig/image"
	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes"
	"github.com/seawall-security/seawall/internal/detect/network"
	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/secret"
	"github.com/seawall-security/seawall/internal/detect/secret/live"
	"github.com/seawall-security/seawall/internal/inventory"
	inventoryall "github.com/seawall-security/seawall/internal/inventory/all"
	"github.com/seawall-security/seawall/internal/inventory/hostcfg"
	"github.com/seawall-security/seawall/internal/inventory/nodeconf"
	"github.com/seawall-security/seawall/internal/inventory/ospkg"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/seawall"
)

// scannerFlags say what to look for, and with which rules beside our own.
type scannerFlags struct {
	scanners      []string
	secretRules   []string
	verifySecrets bool
	history       bool
	historyOf     string // the repository, when its history is asked for
	yara          []string
	malwareHashes []string
	clamd         string
	licenseAllow  []string
	licenseDeny   []string
	controls      []string
	podSecurity   string
	bases         []string
	host          bool // a machine is scanned: how it is configured is judged, too
}

func scannerNames() []string { return []string{"vuln", "secret", "malware", "misconfig", "license"} }

func (f *scannerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.scanners, "scanners", []string{"vuln"}, "what to look for: "+command.JoinWords(scannerNames()))
	flags.StringSliceVar(&f.secretRules, "secret-rules", nil, "further secret rules, in gitleaks' TOML format")
	flags.BoolVar(&f.verifySecrets, "verify-secrets", false, "ask vendors whether the secrets found are live: sends each to its vendor")
	flags.StringSliceVar(&f.yara, "yara", nil, "further malware rules: YARA files, or directories of them")
	flags.StringSliceVar(&f.malwareHashes, "malware-hashes", nil, "files with SHA-256 digests of malware, one a line")
	flags.StringVar(&f.clamd, "clamd", "", "also ask a ClamAV daemon: the path of its socket, or host:port")
	flags.StringSliceVar(&f.licenseAllow, "license-allow", nil, "SPDX licences to accept; packages under any other are findings")
	flags.StringSliceVar(&f.licenseDeny, "license-deny", nil, "SPDX licences to refuse")
	flags.StringSliceVar(&f.controls, "controls", nil, "further misconfiguration controls: YAML files, or directories of them")
	flags.StringVar(&f.podSecurity, "pod-security-version", "latest", "the version of the Pod Security Standards, for example v1.33")
	_ = cmd.RegisterFlagCompletionFunc("scanners", command.FixedCompletion(scannerNames()...))
}

// vendorTimeout bounds one question to a secret's vendor.
const vendorTimeout = 10 * time.Second

// complete gives a scan its collectors and detectors, which ask r. Packages are
// always collected: every report lists them. r may be nil where only the rules are of interest.
func (f *scannerFlags) complete(cfg *scan.Config, r *db.Reader) error {
	cfg.Collectors = inventoryall.Collectors()
	for _, name := range f.scanners {
		var err error
		switch name {
		case "vuln":
			cfg.Detectors = append(cfg.Detectors, detectall.Detectors(r)...)
		case "secret":
			err = f.addSecret(cfg)
		case "malware":
			err = f.addMalware(cfg)
		case "misconfig":
			addScanner(cfg, dockerfile.Collector{}, dockerfile.Detector{})
			cfg.Detectors = append(cfg.Detectors, image.Detector{}, network.Detector{}, rbac.Detector{})
			err = f.addControls(cfg)
			if f.host {
				addScanner(cfg, hostcfg.New(), host.New())
				addScanner(cfg, nodeconf.Collector{}, docker.New())
			}
		case "license":
			var detector *license.Detector
			if detector, err = license.New(f.licenseAllow, f.licenseDeny); err == nil {
				addScanner(cfg, ospkg.Copyright{}, detector)
			}
		default:
			err = seawall.WithHint(fmt.Errorf("--scanners %s: no such scanner: %w", name, seawall.ErrUsage), "scanners are "+command.JoinWords(scannerNames()))
		}
		if err != nil {
			return err
		}
	}
	if cfg.Redact != nil {
		return nil
	}
	// Build steps and labels of an image may hold credentials, whatever is looked for.
	_, detector, err := secret.New(secret.Options{})
	if err == nil {
		cfg.Redact = detector.Redact
	}
	return err
}

func addScanner(cfg *scan.Config, c inventory.Collector, d detect.Detector) {
	cfg.Collectors = append(cfg.Collectors, c)
	cfg.Detectors = append(cfg.Detectors, d)
}

// addControls adds what is judged by controls: Kubernetes, and users' own.
func (f *scannerFlags) addControls(cfg *scan.Config) error {
	options := kubernetes.Options{PodSecurityVersion: f.podSecurity}
	detector, err := kubernetes.New(options)
	if err != nil {
		return err
	}
	cfg.Detectors = append(cfg.Detectors, detector)
	if len(f.controls) == 0 {
		return nil
	}
	own, err := kubernetes.NewUser(options, f.controls)
	if err == nil {
		cfg.Detectors = append(cfg.Detectors, own)
	}
	return err
}

func (f *scannerFlags) addSecret(cfg *scan.Config) error {
	options := secret.Options{Rules: f.secretRules}
	if f.verifySecrets {
		options.Verify = &live.Options{Client: &http.Client{Timeout: vendorTimeout}, Now: cfg.Now}
	}
	collector, detector, err := secret.New(options)
	if err != nil {
		return err
	}
	addScanner(cfg, collector, detector)
	cfg.Redact = detector.Redact
	if f.historyOf != "" {
		cfg.Collectors = append(cfg.Collectors, collector.InHistory(f.historyOf))
	}
	return nil
}

func (f *scannerFlags) addMalware(cfg *scan.Config) error {
	collector, detector, err := malware.New(malware.Options{YARA: f.yara, Hashes: f.malwareHashes, Clamd: f.clamd})
	if err != nil {
		return err
	}
	addScanner(cfg, collector, detector)
	addScanner(cfg, content.Collector{}, content.Detector{})
	return nil
}
