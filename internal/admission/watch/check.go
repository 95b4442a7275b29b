package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seawall-security/seawall/internal/admission"
)

// maxReview bounds a review: an object of etcd's maximum, old and new, and what is around it.
const maxReview = 8 << 20

// Check is the webhook that judges policies and exceptions themselves: a mistake is
// refused where it is made, with the field; what is most likely not meant is a warning.
func (p *Policies) Check(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil || review.Request == nil {
		http.Error(w, "not an AdmissionReview with a request", http.StatusBadRequest)
		return
	}
	response := p.judge(review.Request)
	response.UID = review.Request.UID
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response}) // the caller may be gone
}

func (p *Policies) judge(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(request.Object.Raw); err != nil {
		return refuse(fmt.Sprintf("not an object: %v", err))
	}
	set, mistake := Read(object.Object)
	if mistake != nil {
		return refuse(mistake.Error())
	}
	for _, e := range set.Exceptions {
		if request.Operation == admissionv1.Create && !p.now().Before(e.Expires) {
			return refuse("spec.expires: is in the past")
		}
	}
	response := &admissionv1.AdmissionResponse{Allowed: true}
	for _, warning := range set.Lint() {
		response.Warnings = append(response.Warnings, place().ReplaceAllString(warning, ""))
	}
	for _, e := range set.Exceptions {
		if !p.has(e.Policy) {
			response.Warnings = append(response.Warnings, fmt.Sprintf("there is no policy %q", e.Policy))
		}
	}
	for i, warning := range response.Warnings {
		response.Warnings[i] = strings.ToValidUTF8(warning, "?")
	}
	return response
}

// has says whether exceptions may name a policy: one that is there, or the built-in one.
func (p *Policies) has(name string) bool {
	if name == admission.PodSecurityPolicy {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.policies[name] != nil
}

func refuse(message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity, Message: message,
	}}
}
