package object

import "slices"

// ClusterScoped says whether objects of a kind have no namespace. known is false
// for the kinds of groups that are neither Kubernetes' own nor its network APIs'.
func ClusterScoped(apiVersion, kind string) (cluster, known bool) {
	kinds, known := clusterKinds(Group(apiVersion))
	return slices.Contains(kinds, kind), known
}

// clusterKinds are the kinds without namespace of a group; its others have one.
func clusterKinds(group string) (kinds []string, known bool) {
	switch group {
	case "":
		kinds = []string{"Namespace", "Node", "PersistentVolume", "ComponentStatus"}
	case "apps", "batch", "autoscaling", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io":
	case "extensions", "policy":
		kinds = []string{"PodSecurityPolicy"}
	case "rbac.authorization.k8s.io":
		kinds = []string{"ClusterRole", "ClusterRoleBinding"}
	case "networking.k8s.io":
		kinds = []string{"IngressClass", "IPAddress", "ServiceCIDR"}
	case "policy.networking.k8s.io":
		kinds = []string{"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"}
	case "gateway.networking.k8s.io":
		kinds = []string{"GatewayClass"}
	case "storage.k8s.io":
		kinds = []string{"StorageClass", "VolumeAttachment", "CSIDriver", "CSINode", "VolumeAttributesClass"}
	case "snapshot.storage.k8s.io":
		kinds = []string{"VolumeSnapshotClass", "VolumeSnapshotContent"}
	case "scheduling.k8s.io":
		kinds = []string{"PriorityClass"}
	case "node.k8s.io":
		kinds = []string{"RuntimeClass"}
	case "apiextensions.k8s.io":
		kinds = []string{"CustomResourceDefinition"}
	case "apiregistration.k8s.io":
		kinds = []string{"APIService"}
	case "admissionregistration.k8s.io":
		kinds = []string{
			"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
			"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
			"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
		}
	case "certificates.k8s.io":
		kinds = []string{"CertificateSigningRequest", "ClusterTrustBundle"}
	case "flowcontrol.apiserver.k8s.io":
		kinds = []string{"FlowSchema", "PriorityLevelConfiguration"}
	case "resource.k8s.io":
		kinds = []string{"DeviceClass", "ResourceSlice", "DeviceTaintRule"}
	default:
		return nil, false
	}
	return kinds, true
}
