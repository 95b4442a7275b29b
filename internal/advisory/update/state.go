package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seawall-security/seawall/internal/seawall"
)

// state is what is remembered between updates, beside the database.
type state struct {
	// Built is that of the database this is about; of another one nothing is known.
	Built string               `json:"built,omitempty"`
	Feeds map[string]feedState `json:"feeds"`
	// Whole is the database taken with From: its address, and the validators or digest.
	Whole struct {
		From   string     `json:"from,omitempty"`
		Have   validators `json:"have"`
		Digest string     `json:"digest,omitempty"`
	} `json:"whole"`
	// Partial are the downloads not finished, by file name.
	Partial map[string]partial `json:"partial"`
}

// partial is a download that was begun: of what, in which version.
type partial struct {
	URL  string     `json:"url"`
	Have validators `json:"have"`
}

// feedState is what is known of a feed in the database.
type feedState struct {
	Files map[string]validators `json:"files"` // by URL
	// Index are the validators of OSV's modified_id.csv, Newest its latest time.
	Index  validators `json:"index"`
	Newest string     `json:"newest,omitempty"`
}

func (s *state) forget() {
	s.Feeds = map[string]feedState{}
	s.Whole.From, s.Whole.Have, s.Whole.Digest = "", validators{}, ""
}

func readState(path string) (*state, error) {
	s := &state{}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if err := json.Unmarshal(data, s); err != nil {
			return nil, seawall.WithHint(fmt.Errorf("%s: %w: %w", path, seawall.ErrCorrupt, err), "remove the file; the next update then fetches everything")
		}
	}
	if s.Feeds == nil {
		s.Feeds = map[string]feedState{}
	}
	if s.Partial == nil {
		s.Partial = map[string]partial{}
	}
	return s, nil
}

// write replaces the state file at once.
func (s *state) write(path string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "state-*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return install(f, err, path)
}

// install syncs and closes a temporary file and renames it to path; with an
// earlier error, or one of its own, it removes it.
func install(f *os.File, err error, path string) error {
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
