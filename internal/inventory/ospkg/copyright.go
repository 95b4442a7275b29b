package ospkg

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	docDir = "usr/share/doc/"
	// maxCopyright is how much of a copyright file is read; the longest in Debian are just over 1 MiB.
	maxCopyright = 4 << 20
	// copyrightFact is the kind of the facts that only Copyright's own Join reads.
	copyrightFact = "dpkg-copyright"
)

// Copyright fills the licences of Debian packages, which dpkg's database does
// not have, from /usr/share/doc/PACKAGE/copyright: by the machine-readable format
// (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/), else by
// the texts in common use. It is not among Collectors: add it, after them, where
// licences are asked for.
type Copyright struct{}

var _ inventory.Joiner = Copyright{}

// Name implements inventory.Collector.
func (Copyright) Name() string { return "os/dpkg-copyright" }

// Version implements inventory.Collector.
func (Copyright) Version() int { return 1 }

// Wants implements inventory.Collector. A package's directory may be a link to another's.
func (Copyright) Wants(file string, info fs.FileInfo) bool {
	rest, ok := strings.CutPrefix(file, docDir)
	if !ok {
		return false
	}
	if name, isCopyright := strings.CutSuffix(rest, "/copyright"); isCopyright {
		return !strings.Contains(name, "/")
	}
	return info.Mode()&fs.ModeSymlink != 0 && !strings.Contains(rest, "/")
}

// Collect implements inventory.Collector.
func (Copyright) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	fact := &seawall.ConfigFact{Kind: copyrightFact, Path: f.Path}
	if f.Link != "" {
		fact.Data = map[string]string{"link": path.Base(strings.TrimSuffix(f.Link, "/copyright"))}
		return []seawall.Fact{{Config: fact}}, nil
	}
	text, err := io.ReadAll(io.LimitReader(f.Content, maxCopyright+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if len(text) > maxCopyright {
		return nil, fmt.Errorf("more than %d bytes: %w", maxCopyright, seawall.ErrBound)
	}
	licenses := machineReadable(text)
	if len(licenses) == 0 {
		licenses = commonTexts(text)
	}
	if len(licenses) == 0 {
		return nil, nil
	}
	fact.Data = map[string]string{"licenses": strings.Join(licenses, "\n")}
	return []seawall.Fact{{Config: fact}}, nil
}

// maxLicenses bounds the licences of one package; the kernel's has under 100.
const maxLicenses = 256

// machineReadable returns the short names of the paragraphs on files, but for
// those of the packaging alone. nil: the file is not in that format.
func machineReadable(text []byte) (licenses []string) {
	first, rest, _ := bytes.Cut(bytes.TrimLeft(text, "\n"), []byte("\n"))
	if !bytes.HasPrefix(bytes.ToLower(first), []byte("format")) {
		return nil
	}
	header, packaging, aboutFiles := true, false, false
	for line := range bytes.SplitSeq(rest, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			header, packaging, aboutFiles = false, false, false
			continue
		}
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch strings.ToLower(string(key)) {
		case "files":
			aboutFiles, packaging = true, bytes.HasPrefix(value, []byte("debian/")) && !bytes.ContainsAny(value, " ,")
		case "license":
			if name := string(value); name != "" && (aboutFiles || header) && !packaging && !slices.Contains(licenses, name) && len(licenses) < maxLicenses {
				licenses = append(licenses, name)
			}
		}
	}
	return licenses
}

// commonTexts recognises licences by the sentences and files they are known by.
func commonTexts(text []byte) (licenses []string) {
	words := bytes.Join(bytes.Fields(text), []byte(" "))
	add := func(name string) {
		if !slices.Contains(licenses, name) {
			licenses = append(licenses, name)
		}
	}
	for rest := words; ; {
		_, after, ok := bytes.Cut(rest, []byte("/usr/share/common-licenses/"))
		if !ok {
			break
		}
		end := bytes.IndexFunc(after, func(r rune) bool {
			return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-", r)
		})
		if end < 0 {
			end = len(after)
		}
		if name := strings.TrimRight(string(after[:end]), ".-"); name != "" && len(licenses) < maxLicenses {
			add(name)
		}
		rest = after
	}
	for _, t := range [...]struct{ sentence, name string }{
		{"Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
		{"Permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted", "ISC"},
		{"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted", "ISC"},
		{"Licensed under the Apache License, Version 2.0", "Apache-2.0"},
		{"subject to the terms of the Mozilla Public License, v. 2.0", "MPL-2.0"},
		{"This software is provided 'as-is', without any express or implied warranty", "Zlib"},
	} {
		if bytes.Contains(words, []byte(t.sentence)) {
			add(t.name)
		}
	}
	if bytes.Contains(words, []byte("Redistribution and use in source and binary forms, with or without modification")) {
		switch {
		case bytes.Contains(words, []byte("All advertising materials mentioning")):
			add("BSD-4-Clause")
		case bytes.Contains(words, []byte("to endorse or promote products")):
			add("BSD-3-Clause")
		default:
			add("BSD-2-Clause")
		}
	}
	if len(licenses) == 0 && bytes.Contains(bytes.ToLower(words), []byte("public domain")) {
		add("public-domain")
	}
	return licenses
}

// Join implements inventory.Joiner: it gives packages their licences and takes
// the facts it needed away.
func (Copyright) Join(_ context.Context, m *inventory.Merged) error {
	licenses, links := map[string][]string{}, map[string]string{}
	m.Configs = slices.DeleteFunc(m.Configs, func(c seawall.ConfigFact) bool {
		if c.Kind != copyrightFact {
			return false
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(c.Path, docDir), "/")
		if list := c.Data["licenses"]; list != "" {
			licenses[name] = strings.Split(list, "\n")
		} else {
			links[name] = c.Data["link"]
		}
		return true
	})
	for i := range m.Packages {
		p := &m.Packages[i]
		if p.Kind != Kind || len(p.Licenses) > 0 || !strings.HasPrefix(p.PURL, debType) {
			continue
		}
		p.Licenses = licenses[p.Name]
		if to, ok := links[p.Name]; ok && p.Licenses == nil {
			p.Licenses = licenses[to]
		}
	}
	return nil
}
