package manifest

// Helm are the settings of rendering charts.
type Helm struct{}
