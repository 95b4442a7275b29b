package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

type roleSet struct {
	Roles               []*rbacv1.Role               `json:"roles"`
	ClusterRoles        []*rbacv1.ClusterRole        `json:"clusterRoles"`
	RoleBindings        []*rbacv1.RoleBinding        `json:"roleBindings"`
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding `json:"clusterRoleBindings"`
	Questions           []question                   `json:"questions"`
}

type question struct {
	User        string   `json:"user"`
	Groups      []string `json:"groups"`
	Verb        string   `json:"verb"`
	APIGroup    string   `json:"apiGroup"`
	Resource    string   `json:"resource"`
	Subresource string   `json:"subresource"`
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	Path        string   `json:"path"`
	Subjects    bool     `json:"subjects"`
}

type answer struct {
	Allowed  bool             `json:"allowed"`
	Reason   string           `json:"reason,omitempty"`
	Subjects []rbacv1.Subject `json:"subjects,omitempty"`
}

// authorize answers one role set after the other until in ends.
func authorize(in io.Reader, out io.Writer) error {
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	decoder.DisallowUnknownFields()
	for n := 1; ; n++ {
		var set roleSet
		if err := decoder.Decode(&set); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("role set %d: %w", n, err)
		}
		answers, err := set.answers(context.Background())
		if err != nil {
			return fmt.Errorf("role set %d: %w", n, err)
		}
		if err := encoder.Encode(map[string]any{"answers": answers}); err != nil {
			return err
		}
	}
}

func (s *roleSet) answers(ctx context.Context) ([]answer, error) {
	_, static := validation.NewTestRuleResolver(s.Roles, s.RoleBindings, s.ClusterRoles, s.ClusterRoleBindings)
	rules := rbac.New(static, static, static, static)
	locator := rbac.NewSubjectAccessEvaluator(static, static, static, static, "")
	answers := make([]answer, 0, len(s.Questions))
	for _, q := range s.Questions {
		decision, reason, err := rules.Authorize(ctx, q.attributes())
		if err != nil {
			return nil, err
		}
		a := answer{Allowed: decision == authorizer.DecisionAllow, Reason: reason}
		if q.Subjects {
			// The error is about bindings to missing roles: the subjects of the others are right.
			a.Subjects, _ = locator.AllowedSubjects(ctx, q.attributes())
		}
		answers = append(answers, a)
	}
	return answers, nil
}

func (q question) attributes() authorizer.Attributes {
	return authorizer.AttributesRecord{
		User:            &user.DefaultInfo{Name: q.User, Groups: q.Groups},
		Verb:            q.Verb,
		APIGroup:        q.APIGroup,
		Resource:        q.Resource,
		Subresource:     q.Subresource,
		Name:            q.Name,
		Namespace:       q.Namespace,
		Path:            q.Path,
		ResourceRequest: q.Path == "",
	}
}
