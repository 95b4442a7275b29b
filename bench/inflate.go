package main

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// inflateLayout inflates all gzip layers of a layout's first image at once and walks their members.
func inflateLayout(dir string) error {
	var index struct{ Manifests, Layers []struct{ Digest string } }
	if err := readJSON(filepath.Join(dir, "index.json"), &index); err != nil {
		return err
	}
	if len(index.Manifests) == 0 {
		return fmt.Errorf("%s: no image in it", dir)
	}
	if err := readJSON(blob(dir, index.Manifests[0].Digest), &index); err != nil {
		return err
	}
	var all errgroup.Group
	for _, l := range index.Layers {
		all.Go(func() error { return inflateLayer(blob(dir, l.Digest)) })
	}
	return all.Wait()
}

func blob(dir, digest string) string {
	return filepath.Join(dir, "blobs", strings.ReplaceAll(digest, ":", "/"))
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func inflateLayer(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for t := tar.NewReader(z); ; {
		if _, err := t.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}
