package manifest

// Helm are the settings of rendering charts.
type Helm struct {
	// Values are files, Set assignments as for helm's --set; later ones win, Set over Values.
	Values, Set []string
	// ReleaseName is "" for the chart's name, ReleaseNamespace "" for default.
	ReleaseName, ReleaseNamespace string
}
