package rules

import (
	"embed"
	"io/fs"
	"path"
)

//go:embed own/*.yaml
var own embed.FS

// Own are Seawall's own rule files, by the name they are shown under.
func Own() (files []File) {
	names, _ := fs.Glob(own, "own/*.yaml") // the pattern is good
	for _, name := range names {
		data, err := own.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		files = append(files, File{Path: "seawall/" + path.Base(name), Data: data})
	}
	return files
}
