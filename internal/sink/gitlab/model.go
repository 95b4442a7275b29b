package gitlab

// The part of the report format that is written.

type report struct {
	Version         string           `json:"version"`
	Scan            scan             `json:"scan"`
	Vulnerabilities []vulnerability  `json:"vulnerabilities"`
	DependencyFiles []dependencyFile `json:"dependency_files,omitzero"`
}

type scan struct {
	Analyzer program   `json:"analyzer"`
	Scanner  program   `json:"scanner"`
	Type     string    `json:"type"`
	Status   string    `json:"status"`
	Start    string    `json:"start_time"`
	End      string    `json:"end_time"`
	Messages []message `json:"messages"`
}

type program struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	URL     string `json:"url"`
	Vendor  vendor `json:"vendor"`
}

type vendor struct {
	Name string `json:"name"`
}

type message struct {
	Level string `json:"level"`
	Value string `json:"value"`
}

type vulnerability struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Severity    string       `json:"severity"`
	Solution    string       `json:"solution,omitempty"`
	Identifiers []identifier `json:"identifiers"`
	Links       []link       `json:"links"`
	Location    location     `json:"location"`
}

type identifier struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
	URL   string `json:"url,omitempty"`
}

type link struct {
	URL string `json:"url"`
}

type location struct {
	File            string     `json:"file,omitempty"`
	Dependency      dependency `json:"dependency"`
	OperatingSystem string     `json:"operating_system,omitempty"`
	Image           string     `json:"image,omitempty"`
}

type dependency struct {
	Package packageName `json:"package"`
	Version string      `json:"version"`
}

type packageName struct {
	Name string `json:"name"`
}

type dependencyFile struct {
	Path         string       `json:"path"`
	Manager      string       `json:"package_manager"`
	Dependencies []dependency `json:"dependencies"`
}
