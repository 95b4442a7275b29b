package kube

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/seawall-security/seawall/internal/policy"
)

// The defaults of the API's kinds, as https://kubernetes.io/docs/reference/kubernetes-api/
// gives them for 1.36, of those kinds that policies are about: workloads, services,
// volumes, network policies and roles. The differential test (test/cluster/policy) holds
// them against the API server.

// or gives a field a value where it has none.
func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// orNew is or for pointers.
func orNew[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// setDefault gives an object the defaults of its kind.
func setDefault(o runtime.Object) {
	switch o := o.(type) {
	case *corev1.Pod:
		defaultPod(o)
	case *corev1.PodTemplate:
		defaultPodSpec(&o.Template.Spec)
	case *corev1.ReplicationController:
		orNew(&o.Spec.Replicas, 1)
		if t := o.Spec.Template; t != nil {
			defaultPodSpec(&t.Spec)
			if len(o.Spec.Selector) == 0 {
				o.Spec.Selector = t.Labels
			}
			if len(o.Labels) == 0 {
				o.Labels = t.Labels
			}
		}
	case *appsv1.Deployment:
		defaultDeployment(&o.Spec)
	case *appsv1.DaemonSet:
		defaultDaemonSet(&o.Spec)
		if o.Annotations == nil {
			o.Annotations = map[string]string{}
		}
		o.Annotations[appsv1.DeprecatedTemplateGeneration] = "1" // as the first generation is written
	case *appsv1.StatefulSet:
		defaultStatefulSet(&o.Spec)
	case *appsv1.ReplicaSet:
		orNew(&o.Spec.Replicas, 1)
		defaultPodSpec(&o.Spec.Template.Spec)
	case *batchv1.Job:
		defaultJob(o)
	case *batchv1.CronJob:
		or(&o.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
		orNew(&o.Spec.Suspend, false)
		orNew(&o.Spec.SuccessfulJobsHistoryLimit, 3)
		orNew(&o.Spec.FailedJobsHistoryLimit, 1)
		defaultPodSpec(&o.Spec.JobTemplate.Spec.Template.Spec)
	default:
		defaultOther(o)
	}
}

func defaultOther(o runtime.Object) {
	switch o := o.(type) {
	case *corev1.Service:
		defaultService(&o.Spec)
	case *corev1.Secret:
		or(&o.Type, corev1.SecretTypeOpaque)
	case *corev1.Namespace:
		if o.Name != "" {
			if o.Labels == nil {
				o.Labels = map[string]string{}
			}
			o.Labels[corev1.LabelMetadataName] = o.Name
		}
		if len(o.Spec.Finalizers) == 0 {
			o.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
		}
		or(&o.Status.Phase, corev1.NamespaceActive)
	case *corev1.PersistentVolume:
		or(&o.Status.Phase, corev1.VolumePending)
		or(&o.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
		orNew(&o.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
		if h := o.Spec.HostPath; h != nil {
			orNew(&h.Type, corev1.HostPathUnset)
		}
	case *corev1.PersistentVolumeClaim:
		or(&o.Status.Phase, corev1.ClaimPending)
		orNew(&o.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	case *autoscalingv1.HorizontalPodAutoscaler:
		orNew(&o.Spec.MinReplicas, 1)
		if o.Annotations["autoscaling.alpha.kubernetes.io/metrics"] == "" {
			orNew(&o.Spec.TargetCPUUtilizationPercentage, 80)
		}
	case *autoscalingv2.HorizontalPodAutoscaler:
		orNew(&o.Spec.MinReplicas, 1)
		if len(o.Spec.Metrics) == 0 {
			share := int32(80)
			o.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &share}}}}
		}
	case *networkingv1.NetworkPolicy:
		defaultNetworkPolicy(&o.Spec)
	case *rbacv1.RoleBinding:
		defaultBinding(&o.RoleRef, o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		defaultBinding(&o.RoleRef, o.Subjects)
	}
}

func defaultBinding(role *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	or(&role.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		if s := &subjects[i]; s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
			or(&s.APIGroup, rbacv1.GroupName)
		}
	}
}

func defaultNetworkPolicy(spec *networkingv1.NetworkPolicySpec) {
	if len(spec.PolicyTypes) == 0 {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(spec.Egress) > 0 {
			spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	ports := func(list []networkingv1.NetworkPolicyPort) {
		for i := range list {
			orNew(&list[i].Protocol, corev1.ProtocolTCP)
		}
	}
	for i := range spec.Ingress {
		ports(spec.Ingress[i].Ports)
	}
	for i := range spec.Egress {
		ports(spec.Egress[i].Ports)
	}
}

func defaultService(spec *corev1.ServiceSpec) {
	or(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	if spec.SessionAffinity == corev1.ServiceAffinityNone {
		spec.SessionAffinityConfig = nil
	}
	or(&spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		p := &spec.Ports[i]
		or(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	external := spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer
	if external || spec.Type == corev1.ServiceTypeClusterIP && len(spec.ExternalIPs) > 0 {
		or(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if external || spec.Type == corev1.ServiceTypeClusterIP {
		orNew(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		orNew(&spec.AllocateLoadBalancerNodePorts, true)
	}
}

func defaultDeployment(spec *appsv1.DeploymentSpec) {
	orNew(&spec.Replicas, 1)
	orNew(&spec.RevisionHistoryLimit, 10)
	orNew(&spec.ProgressDeadlineSeconds, 600)
	or(&spec.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		orNew(&spec.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		orNew(&spec.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		orNew(&spec.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	defaultPodSpec(&spec.Template.Spec)
}

func defaultDaemonSet(spec *appsv1.DaemonSetSpec) {
	orNew(&spec.RevisionHistoryLimit, 10)
	or(&spec.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		orNew(&spec.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		orNew(&spec.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		orNew(&spec.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	defaultPodSpec(&spec.Template.Spec)
}

func defaultStatefulSet(spec *appsv1.StatefulSetSpec) {
	orNew(&spec.Replicas, 1)
	orNew(&spec.RevisionHistoryLimit, 10)
	or(&spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	if spec.UpdateStrategy.Type == "" {
		spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		orNew(&spec.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
	}
	if u := spec.UpdateStrategy.RollingUpdate; u != nil && spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		orNew(&u.Partition, 0)
	}
	orNew(&spec.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	or(&spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	or(&spec.PersistentVolumeClaimRetentionPolicy.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	for i := range spec.VolumeClaimTemplates {
		c := &spec.VolumeClaimTemplates[i]
		c.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
		defaultOther(c)
	}
	defaultPodSpec(&spec.Template.Spec)
}

func defaultJob(o *batchv1.Job) {
	spec := &o.Spec
	if spec.Completions == nil && spec.Parallelism == nil {
		orNew(&spec.Completions, 1)
	}
	orNew(&spec.Parallelism, 1)
	if spec.BackoffLimitPerIndex == nil {
		orNew(&spec.BackoffLimit, 6)
	} else {
		orNew(&spec.BackoffLimit, 1<<31-1)
	}
	orNew(&spec.CompletionMode, batchv1.NonIndexedCompletion)
	orNew(&spec.Suspend, false)
	orNew(&spec.ManualSelector, false)
	if spec.PodFailurePolicy == nil {
		orNew(&spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	} else {
		orNew(&spec.PodReplacementPolicy, batchv1.Failed)
	}
	if len(o.Labels) == 0 {
		o.Labels = spec.Template.Labels
	}
	defaultPodSpec(&spec.Template.Spec)
}

func defaultPod(p *corev1.Pod) {
	defaultPodSpec(&p.Spec)
	orNew(&p.Spec.EnableServiceLinks, true)
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			c := &list[i]
			for name, limit := range c.Resources.Limits {
				if c.Resources.Requests == nil {
					c.Resources.Requests = corev1.ResourceList{}
				}
				if _, set := c.Resources.Requests[name]; !set {
					c.Resources.Requests[name] = limit
				}
			}
			for j := range c.Ports {
				if p.Spec.HostNetwork {
					or(&c.Ports[j].HostPort, c.Ports[j].ContainerPort)
				}
			}
		}
	}
	admitPod(&p.Spec)
}

// admitPod is what the API server's own admission gives every pod: a service account,
// its token, tolerations of nodes that are gone for five minutes, and a priority.
func admitPod(spec *corev1.PodSpec) {
	or(&spec.ServiceAccountName, "default")
	or(&spec.DeprecatedServiceAccount, spec.ServiceAccountName)
	if priority, known := map[string]int32{"": 0, "system-cluster-critical": 2000000000, "system-node-critical": 2000001000}[spec.PriorityClassName]; known {
		orNew(&spec.Priority, priority)
		orNew(&spec.PreemptionPolicy, corev1.PreemptLowerPriority)
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		tolerated := false
		for _, t := range spec.Tolerations {
			tolerated = tolerated || (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		}
		if !tolerated {
			seconds := int64(300)
			spec.Tolerations = append(spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds})
		}
	}
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		mountToken(spec)
	}
}

const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// mountToken adds the volume of the token. Its name ends at random on a server.
func mountToken(spec *corev1.PodSpec) {
	name, mounted := "kube-api-access-seawl", false
	i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, "kube-api-access-") })
	if i >= 0 {
		name = spec.Volumes[i].Name
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			has := false
			for _, m := range list[i].VolumeMounts {
				has = has || m.MountPath == tokenPath
			}
			if !has {
				list[i].VolumeMounts = append(list[i].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: tokenPath, ReadOnly: true})
				mounted = true
			}
		}
	}
	if !mounted || i >= 0 {
		return
	}
	seconds, mode := int64(3607), corev1.ProjectedVolumeSourceDefaultMode
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: &seconds, Path: "token"}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
		},
	}}})
}

func defaultPodSpec(spec *corev1.PodSpec) {
	or(&spec.DNSPolicy, corev1.DNSClusterFirst)
	or(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	or(&spec.SchedulerName, corev1.DefaultSchedulerName)
	orNew(&spec.SecurityContext, corev1.PodSecurityContext{})
	orNew(&spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	if spec.DeprecatedServiceAccount == "" {
		spec.DeprecatedServiceAccount = spec.ServiceAccountName
	} else {
		or(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	}
	for i := range spec.Volumes {
		defaultVolume(&spec.Volumes[i])
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			defaultContainer(&list[i])
		}
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		defaultContainer(&c)
		spec.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
}

func defaultVolume(v *corev1.Volume) {
	mode := func(m **int32) { orNew(m, corev1.ConfigMapVolumeSourceDefaultMode) }
	items := func(list []corev1.DownwardAPIVolumeFile) {
		for i := range list {
			if f := list[i].FieldRef; f != nil {
				or(&f.APIVersion, "v1")
			}
		}
	}
	switch {
	case v.VolumeSource == corev1.VolumeSource{}:
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	case v.Secret != nil:
		mode(&v.Secret.DefaultMode)
	case v.ConfigMap != nil:
		mode(&v.ConfigMap.DefaultMode)
	case v.DownwardAPI != nil:
		mode(&v.DownwardAPI.DefaultMode)
		items(v.DownwardAPI.Items)
	case v.HostPath != nil:
		orNew(&v.HostPath.Type, corev1.HostPathUnset)
	case v.Image != nil:
		or(&v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		orNew(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	case v.Projected != nil:
		mode(&v.Projected.DefaultMode)
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil {
				orNew(&s.ServiceAccountToken.ExpirationSeconds, 3600)
			}
			if s.DownwardAPI != nil {
				items(s.DownwardAPI.Items)
			}
		}
	}
}

func pullPolicy(image string) corev1.PullPolicy {
	if tag := policy.NamedImage(image).Tag; tag != nil && *tag == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func defaultContainer(c *corev1.Container) {
	or(&c.ImagePullPolicy, pullPolicy(c.Image))
	or(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	or(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		or(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			or(&e.ValueFrom.FieldRef.APIVersion, "v1")
		}
	}
	get := func(a *corev1.HTTPGetAction) {
		if a != nil {
			or(&a.Path, "/")
			or(&a.Scheme, corev1.URISchemeHTTP)
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p == nil {
			continue
		}
		or(&p.TimeoutSeconds, 1)
		or(&p.PeriodSeconds, 10)
		or(&p.SuccessThreshold, 1)
		or(&p.FailureThreshold, 3)
		get(p.HTTPGet)
		if p.GRPC != nil {
			orNew(&p.GRPC.Service, "")
		}
	}
	if l := c.Lifecycle; l != nil {
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil {
				get(h.HTTPGet)
			}
		}
	}
}
