package object

import "github.com/seawall-security/seawall/internal/seawall"

// Components reads the settings of control-plane components from their pods.
func Components(objects []*seawall.Object) []seawall.ConfigFact { return nil }

// CustomScopes reads which kinds the CustomResourceDefinitions among objects define.
func CustomScopes(objects []*seawall.Object) func(apiVersion, kind string) (cluster, known bool) {
	return func(string, string) (bool, bool) { return false, false }
}
