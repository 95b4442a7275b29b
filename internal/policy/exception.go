package policy

import (
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/expression"
)

// Exception lets a thing of one namespace pass a policy until a day. It is honoured
// only where the policy's spec.exceptions names that namespace.
type Exception struct {
	Name, Namespace string
	Place           Place
	// Policy is the policy's name, Rules those it is from; none are all.
	Policy string
	Rules  []string
	Owner  string
	Reason string
	// Expires is when it stops counting.
	Expires time.Time

	match    *criteria
	whenText string
	when     *expression.Program
	// environment is when's.
	environment *expression.Environment
}

type exceptionSpec struct {
	Policy  Word      `yaml:"policy"`
	Rules   []string  `yaml:"rules"`
	Owner   string    `yaml:"owner"`
	Reason  string    `yaml:"reason"`
	Expires Word      `yaml:"expires"`
	Match   matchSpec `yaml:"match"`
	When    Text      `yaml:"when"`
}

// String is the exception's namespace and name.
func (e *Exception) String() string { return e.Namespace + "/" + e.Name }

func parseException(h *Header) (*Exception, error) {
	var spec exceptionSpec
	if err := h.Spec.Decode(&spec); err != nil {
		return nil, err
	}
	e := &Exception{
		Name: h.Metadata.Name.Text, Namespace: h.Metadata.Namespace, Place: h.Metadata.Name.Place,
		Policy: spec.Policy.Text, Rules: spec.Rules, Owner: spec.Owner, Reason: spec.Reason, whenText: spec.When.Text,
	}
	for _, must := range []struct{ what, value string }{
		{"metadata.namespace", e.Namespace}, {"policy", e.Policy}, {"owner", e.Owner}, {"reason", e.Reason}, {"expires", spec.Expires.Text},
	} {
		if must.value == "" {
			return nil, e.Place.Errorf("exception %s has no %s", e.Name, must.what)
		}
	}
	var err error
	if e.Expires, err = ParseTime(spec.Expires.Text); err != nil {
		return nil, spec.Expires.Place.Errorf("expires: %w", err)
	}
	if e.match, err = spec.Match.compile(); err != nil {
		return nil, err
	}
	if spec.When.Text != "" {
		if e.environment, err = environment(); err != nil {
			return nil, err
		}
		if e.when, err = spec.When.compile(e.environment, expression.Bool); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// exception is the first exception that lets the case pass, nil without one. What is
// not known is not excepted.
func (c *cases) exception(r *Rule, image *Image, facts setter) *Exception {
	images := c.in.Images
	if image != nil {
		images = []Image{*image}
	}
	for _, e := range c.in.Exceptions {
		if e.Policy != c.policy.Name || len(e.Rules) > 0 && !slices.Contains(e.Rules, r.Name) || !c.policy.Allows(e, c.in.Now) {
			continue
		}
		if e.Namespace != c.in.NamespaceName || e.match.holds(c.in, images, all) != yes {
			continue
		}
		if e.when != nil {
			if c.exceptions == nil {
				c.exceptions = c.input(e.environment)
			}
			facts(c.exceptions)
			if ok, err := e.when.Bool(c.exceptions); err != nil || !ok {
				continue
			}
		}
		return e
	}
	return nil
}

// Allows says whether the policy lets the exception count now. A bound on its days
// is a bound on how far off its end may be.
func (p *Policy) Allows(e *Exception, now time.Time) bool {
	return anyGlob(p.exceptionNamespaces, e.Namespace) && now.Before(e.Expires) &&
		(p.exceptionDays == 0 || e.Expires.Sub(now) <= time.Duration(p.exceptionDays)*24*time.Hour)
}
