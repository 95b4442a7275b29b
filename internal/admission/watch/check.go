package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/policy"
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
		if why := p.useless(e); why != "" {
			response.Warnings = append(response.Warnings, why)
		}
	}
	for i, warning := range response.Warnings {
		response.Warnings[i] = strings.ToValidUTF8(warning, "?")
	}
	return response
}

// useless says why an exception does not count, "" where it does.
func (p *Policies) useless(e *policy.Exception) string {
	if !p.now().Before(e.Expires) {
		return "it has ended"
	}
	var counts bool
	if e.Policy == admission.PodSecurityPolicy {
		counts = e.Expires.Sub(p.now()) <= admission.PodSecurityDays*24*time.Hour
	} else {
		p.mu.Lock()
		defer p.mu.Unlock()
		of := p.policies[e.Policy]
		if of == nil {
			return fmt.Sprintf("there is no policy %q", e.Policy)
		}
		counts = of.policy == nil || of.policy.Allows(e, p.now())
	}
	if counts {
		return ""
	}
	return fmt.Sprintf("it does not count: spec.exceptions of the policy %q does not allow its namespace, or an end so far off", e.Policy)
}

func refuse(message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity, Message: message,
	}}
}
